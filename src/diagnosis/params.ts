import type { Builder, Params } from '../model/index.ts'
import { shellQuote } from '../nix/protocol/store-command.ts'

/** Returns the parameters that every message and fix may use. Those of a probe override them. */
export const builderParams = (builder: Builder): Params => {
  const { sshUser = 'root' } = builder
  const host = builder.host ?? builder.storeUri
  const key = builder.sshKey ?? builder.params['ssh-key'] ?? null
  return {
    host,
    user: builder.user ?? 'root',
    dest: shellQuote(builder.user ? `${builder.user}@${host}` : host),
    port: String(builder.port ?? 22),
    key: key === null ? `~${sshUser}/.ssh/id_ed25519` : key,
    ...(sshUser === 'root' ? {} : { sshUser }),
    ssh: [
      'ssh',
      ...(key === null ? [] : ['-i', shellQuote(key)]),
      ...(builder.port === null ? [] : ['-p', String(builder.port)]),
    ].join(' '),
    uri: builder.storeUri,
    scheme: builder.scheme,
    system: builder.systems.join(', '),
    program: builder.scheme === 'ssh' ? 'nix-store' : 'nix-daemon',
  }
}
