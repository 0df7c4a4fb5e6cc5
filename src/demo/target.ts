import type { Builder } from '../model/index.ts'

/**
 * Where a demo builder is: exactly what its line says. No ssh program and nobody's ssh_config take part, so that the
 * demo needs nothing but Node.
 */
export const demoTarget = (builder: Builder) => ({
  user: builder.user ?? 'demo',
  hostname: builder.host ?? '127.0.0.1',
  port: builder.port ?? 22,
  identityFiles: builder.sshKey === null ? [] : [builder.sshKey],
  certificateFiles: [],
  identitiesOnly: true,
  agent: null,
  userKnownHosts: [],
  globalKnownHosts: [],
  hostKeyAlias: null,
  strict: 'yes' as const,
  proxyJump: null,
  proxyCommand: null,
  family: 0 as const,
  connectTimeout: null,
})
