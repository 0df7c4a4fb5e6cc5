import type { Builder } from '../model/index.ts'
import { shellQuote } from '../nix/protocol/store-command.ts'
import type { Params } from './kinds.ts'

/** The parameters that every sentence and hint may use; a probe's own win over them. */
export const builderParams = (builder: Builder): Params => {
  const host = builder.host ?? builder.storeUri
  const key = builder.sshKey ?? builder.params['ssh-key'] ?? null
  return {
    host,
    user: builder.user ?? 'root',
    dest: shellQuote(builder.user ? `${builder.user}@${host}` : host),
    port: String(builder.port ?? 22),
    key: key === null ? '~root/.ssh/id_ed25519' : shellQuote(key),
    ssh: [
      'sudo ssh',
      ...(key === null ? [] : ['-i', shellQuote(key)]),
      ...(builder.port === null ? [] : ['-p', String(builder.port)]),
    ].join(' '),
    uri: builder.storeUri,
    scheme: builder.scheme,
    system: builder.systems.join(', '),
    program: builder.scheme === 'ssh' ? 'nix-store' : 'nix-daemon',
  }
}
