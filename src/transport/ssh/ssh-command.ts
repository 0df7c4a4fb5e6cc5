import type { Builder, LocalNix } from '../../model/index.ts'
import { atLeast, dialectOf } from '../../nix/dialect.ts'
import { sshDestination } from '../../nix/machines/store-uri.ts'

/** The ssh command line that Nix uses for a builder (libstore/ssh.cc addCommonSSHOpts). */
export interface SshCommand {
  /** `user@host`, before 2.31 with a literal `:port`. */
  readonly destination: string
  /** Options of NIX_SSHOPTS, `-i`, `-C`, `-p`. Without the known_hosts file of a pinned key. */
  readonly options: readonly string[]
  /** Host name of the pinned key in Nix's temporary known_hosts file. */
  readonly pinnedHostName: string
}

/** Splits NIX_SSHOPTS: at whitespace up to 2.25, with shell-like quoting since 2.26. */
export const splitSshOpts = (text: string, quoting: boolean): string[] => {
  if (!quoting) return text.split(/[ \t\n\r]+/).filter(Boolean)
  const words: string[] = []
  let word: string | null = null
  let quote: string | null = null
  for (let i = 0; i < text.length; i++) {
    const c = text[i]!
    if (quote) {
      if (c === quote) quote = null
      else if (c === '\\' && quote === '"' && i + 1 < text.length) word += text[++i]!
      else word += c
    } else if (c === "'" || c === '"') {
      quote = c
      word ??= ''
    } else if (c === '\\' && i + 1 < text.length) word = (word ?? '') + text[++i]!
    else if (/\s/.test(c)) {
      if (word !== null) words.push(word)
      word = null
    } else word = (word ?? '') + c
  }
  if (word !== null) words.push(word)
  return words
}

/** Returns our copy of the private key of a machine line, or its path; null if the line has none. */
export const configuredKeyFile = ({
  credential,
  sshKey,
  params,
}: Builder): string | null => credential ?? sshKey ?? params['ssh-key'] ?? null

/** Returns the ssh command of a builder; null if this Nix does not use ssh for it. */
export const sshCommand = (
  builder: Builder,
  nix: LocalNix,
  nixSshOpts: string | undefined,
): SshCommand | null => {
  const dialect = dialectOf(nix.version)
  const where = sshDestination(builder, dialect)
  if (!where) return null
  const quoting = !dialect.lix && atLeast(nix.version, 2, 26)
  const options = splitSshOpts(nixSshOpts ?? '', quoting)
  const key = configuredKeyFile(builder)
  if (key) options.push('-i', key)
  if (builder.params['compress'] === 'true' || builder.params['compress'] === '1')
    options.push('-C')
  if (where.port !== null) options.push('-p', String(where.port))
  const { destination } = where
  return {
    destination,
    options,
    pinnedHostName: destination.slice(destination.lastIndexOf('@') + 1),
  }
}
