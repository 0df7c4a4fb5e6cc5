import type { Builder, LocalNix } from '../model.ts'

/** What Nix would put on ssh's command line for a builder (NIX.md 2.1; libstore/ssh.cc addCommonSSHOpts). */
export interface SshCommand {
  /** Destination word: `user@host`, before 2.31 with a literal `:port`. */
  readonly destination: string
  /** Words of NIX_SSHOPTS, `-i`, `-C`, `-p`. Without the known_hosts file of a pinned key. */
  readonly options: readonly string[]
  /** The name under which Nix writes the pinned key into its temporary known_hosts file. */
  readonly pinnedAs: string
}

/** Splits NIX_SSHOPTS: on blanks up to 2.25, with shell-like quotes from 2.26 on. */
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

const minorOf = (version: string | null): number => {
  const match = /^2\.(\d+)/.exec(version ?? '')
  return match ? Number(match[1]) : Infinity
}

export const sshCommand = (
  builder: Builder,
  nix: LocalNix,
  nixSshOpts: string | undefined,
): SshCommand => {
  const minor = minorOf(nix.version)
  const lix = minor >= 90 && minor !== Infinity
  const host = builder.host ?? ''
  const literalPort = !lix && minor < 31 && builder.port !== null
  const hostWord = literalPort ? `${host}:${builder.port}` : host
  const port = literalPort ? null : (builder.port ?? builder.params['port'] ?? null)
  const options = splitSshOpts(nixSshOpts ?? '', minor >= 26)
  const key = builder.sshKey ?? builder.params['ssh-key']
  if (key) options.push('-i', key)
  if (builder.params['compress'] === 'true' || builder.params['compress'] === '1')
    options.push('-C')
  if (port !== null) options.push('-p', String(port))
  return {
    destination: builder.user ? `${builder.user}@${hostWord}` : hostWord,
    options,
    pinnedAs: hostWord,
  }
}

/** The command that Nix runs on the remote: `nix-daemon --stdio` or `nix-store --serve --write`. */
export const storeCommand = (builder: Builder): string => {
  const serve = builder.scheme === 'ssh'
  const program = builder.params['remote-program'] || (serve ? 'nix-store' : 'nix-daemon')
  const store = builder.params['remote-store']
  const words = serve ? [program, '--serve', '--write'] : [program, '--stdio']
  if (store) words.push('--store', shellQuote(store))
  return words.join(' ')
}

/** Single-quotes a word for a POSIX shell where it needs it. */
export const shellQuote = (word: string): string =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
