import type { SshTarget } from '../../../src/transport/ssh/ssh-config.ts'

/** What `ssh -G` might have said; name what matters to the test. */
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
