import type { Builder } from '../model/index.ts'

/**
 * Returns the SSH settings of a simulated builder from its machine line. Uses no ssh program and no ssh_config, so that
 * the demo needs only Node.
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
