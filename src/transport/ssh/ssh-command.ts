import type { Builder, LocalNix } from '../../model/index.ts'
import { atLeast, dialectOf, isLix } from '../../nix/dialect.ts'
import { sshDestination } from '../../nix/machines/store-uri.ts'

/** The ssh command line that Nix uses for a builder (libstore/ssh.cc addCommonSSHOpts). */
export interface SshCommand {
  /** `user@host`, before 2.31 with a literal `:port`. */
  readonly destination: string
  /** Options of NIX_SSHOPTS, `-i`, `-C`, `-p`. Without the known_hosts file of a pinned key. */
  readonly options: readonly string[]
  /** The words of NIX_SSHOPTS alone. */
  readonly nixSshOpts: readonly string[]
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

/** Returns why Nix rejects NIX_SSHOPTS or reads it differently than it looks; null if it is fine (libutil/strings.cc). */
export const explainSshOpts = (
  text: string | undefined,
  version: string | null,
): { readonly isFatal: boolean; readonly detail: string } | null => {
  const quotes = (text ?? '').replace(/\\./gs, '').match(/['"]/g) ?? []
  if (quotes.length === 0) return null
  if (isLix(version) || !atLeast(version, 2, 26))
    return {
      isFatal: false,
      detail: `Nix ${version ?? ''} does not support quotes in NIX_SSHOPTS and passes them to ssh`,
    }
  let open: string | null = null
  for (const quote of quotes)
    if (open === null) open = quote
    else if (open === quote) open = null
  return open === null
    ? null
    : { isFatal: true, detail: 'unterminated quote in NIX_SSHOPTS' }
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
  const words = splitSshOpts(nixSshOpts ?? '', quoting)
  const options = [...words]
  const key = configuredKeyFile(builder)
  if (key) options.push('-i', key)
  if (builder.params['compress'] === 'true' || builder.params['compress'] === '1')
    options.push('-C')
  if (where.port !== null) options.push('-p', String(where.port))
  const { destination } = where
  return {
    destination,
    options,
    nixSshOpts: words,
    pinnedHostName: destination.slice(destination.lastIndexOf('@') + 1),
  }
}
