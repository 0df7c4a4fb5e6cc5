import type { Builder } from '../../model/index.ts'

/** Single-quotes a word for a POSIX shell if necessary. */
export const shellQuote = (word: string): string =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`

/**
 * Returns the command that Nix runs on a builder (ssh-store.cc, legacy-ssh-store.cc): `nix-daemon --stdio` for ssh-ng,
 * `nix-store --serve --write` for ssh, with `remote-program` and `remote-store` of the store URI.
 */
export const storeCommand = (builder: Builder): string => {
  const serve = builder.scheme === 'ssh'
  const program = builder.params['remote-program'] || (serve ? 'nix-store' : 'nix-daemon')
  const store = builder.params['remote-store']
  return [program, ...(serve ? ['--serve', '--write'] : ['--stdio'])]
    .concat(store ? ['--store', shellQuote(store)] : [])
    .join(' ')
}
