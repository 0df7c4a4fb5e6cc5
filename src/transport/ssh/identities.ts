import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import type { Kind, Params } from '../../model/index.ts'

/** A private key that can be offered. The key itself never leaves the transport room. */
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
  /** In the order of the files; the machine line's own key first. */
  readonly problems: readonly IdentityProblem[]
  /** Keys that only OpenSSH can use: security keys. */
  readonly opensshOnly: readonly string[]
}

/** Tells whether ssh2 can use a key: null when it can, else why not. */
export type CheckKey = (key: Buffer) => 'encrypted' | 'unsupported' | 'invalid' | null

const maxKeyBytes = 64 * 1024

/**
 * Reads the identity files as ssh would, with its checks (authfile.c sshkey_perm_ok). `lineKey` is the key of the
 * machine line: that one missing is a problem, a missing default is not.
 */
export const readIdentities = async (
  files: readonly string[],
  lineKey: string | null,
  checkKey: CheckKey,
): Promise<Identities> => {
  const usable: Identity[] = []
  const problems: IdentityProblem[] = []
  const opensshOnly: string[] = []
  // ssh drops a missing -i file and goes on to its defaults, so it is not in the list that ssh -G printed
  const all = lineKey && !files.includes(lineKey) ? [lineKey, ...files] : files
  for (const path of all) {
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

/** The public half stands for a security key whose handle an agent holds; it may be read by others. */
const isSecurityKey = (key: Buffer): boolean =>
  /^sk-(?:ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com [A-Za-z0-9+/]/.test(
    key.toString('latin1', 0, 60),
  )

/** Reads a small file that ought to be a key or a certificate; a code where that cannot be. */
export const readKeyFile = async (
  path: string,
): Promise<{ key: Buffer; mode: number; uid: number } | { error: string }> => {
  try {
    // O_NONBLOCK: a FIFO in the place of a key must not hang us
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
