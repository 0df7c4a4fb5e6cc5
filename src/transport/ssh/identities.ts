import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import type { Kind, Params } from '../../model/index.ts'

/** A private key that can be offered. The key itself never leaves src/transport. */
export interface Identity {
  readonly path: string
  readonly key: Buffer
}

export interface IdentityProblem {
  readonly kind: Kind
  readonly params: Params
}

export interface Identities {
  readonly usable: readonly Identity[]
  /** In the order of the files; that of the machine line's key first. */
  readonly problems: readonly IdentityProblem[]
  /** Keys that only OpenSSH can use, such as security keys. */
  readonly opensshOnly: readonly string[]
}

/** Returns why ssh2 cannot use a key; null if it can. */
export type CheckKey = (key: Buffer) => 'encrypted' | 'unsupported' | 'invalid' | null

const maxKeyBytes = 64 * 1024

/**
 * Reads the identity files with the checks of ssh (authfile.c sshkey_perm_ok). `lineKey` is the key of the machine line:
 * its absence is a problem, that of a default key is not.
 */
export const readIdentities = async (
  files: readonly string[],
  lineKey: string | null,
  checkKey: CheckKey,
): Promise<Identities> => {
  const usable: Identity[] = []
  const problems: IdentityProblem[] = []
  const opensshOnly: string[] = []
  // ssh drops a missing -i file and uses its defaults, so ssh -G does not list it
  const paths = lineKey && !files.includes(lineKey) ? [lineKey, ...files] : files
  for (const path of paths) {
    const problem = (kind: Kind, detail?: string) =>
      problems.push({ kind, params: { key: path, ...(detail ? { detail } : {}) } })
    const read = await readKeyFile(path)
    if ('error' in read) {
      if (read.error === 'ENOENT' || read.error === 'ENOTDIR') {
        if (path === lineKey) problem('key_missing')
      } else problem('key_unreadable', read.error)
      continue
    }
    if (isSecurityKey(read.key)) {
      opensshOnly.push(path)
      continue
    }
    if (read.uid === process.getuid?.() && read.mode & 0o077) {
      problem('key_permissions', `mode ${(read.mode & 0o777).toString(8)}`)
      continue
    }
    const error = checkKey(read.key)
    if (error === 'encrypted') problem('key_encrypted')
    else if (error === 'invalid') problem('key_unreadable', 'not a private key')
    else if (error === 'unsupported') opensshOnly.push(path)
    else usable.push({ path, key: read.key })
  }
  return { usable, problems, opensshOnly }
}

/** The public key file of a security key whose handle is in an agent; others may read it. */
const isSecurityKey = (key: Buffer): boolean =>
  /^sk-(?:ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com [A-Za-z0-9+/]/.test(
    key.toString('latin1', 0, 60),
  )

/** Reads a small key or certificate file; returns an error code or message if it cannot. */
export const readKeyFile = async (
  path: string,
): Promise<{ key: Buffer; mode: number; uid: number } | { error: string }> => {
  try {
    // O_NONBLOCK: opening a FIFO must not block
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
    try {
      const { mode, uid, size } = await file.stat()
      if (!(mode & constants.S_IFREG)) return { error: 'not a file' }
      if (size > maxKeyBytes) return { error: 'too large for a private key' }
      return { key: await file.readFile(), mode, uid }
    } finally {
      await file.close()
    }
  } catch (error) {
    return { error: (error as NodeJS.ErrnoException).code ?? String(error) }
  }
}
