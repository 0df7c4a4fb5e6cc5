import type { SshTarget } from '../../../src/transport/ssh/ssh-config.ts'

/** An ssh target with defaults for values that do not matter to the test. */
export const aTarget = (change: Partial<SshTarget> = {}): SshTarget => ({
  user: 'nix',
  hostname: '127.0.0.1',
  port: 22,
  identityFiles: [],
  certificateFiles: [],
  identitiesOnly: false,
  agent: null,
  userKnownHosts: [],
  globalKnownHosts: [],
  hostKeyAlias: null,
  strict: 'yes',
  proxyJump: null,
  proxyCommand: null,
  family: 0,
  connectTimeout: null,
  ...change,
})
