/** Copies of keys and of root's ssh files, passed by systemd. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import {
  credentialName,
  loadCredentials,
} from '../../../src/config/builders/credentials.ts'
import type { ActiveBuilders } from '../../../src/model/index.ts'
import { aBuilder } from '../../support/builders.ts'

const passCredentials = (t: Test, files: Readonly<Record<string, string>>) => {
  const directory = t.testdir({ credentials: files, runtime: {} })
  return {
    CREDENTIALS_DIRECTORY: join(directory, 'credentials'),
    RUNTIME_DIRECTORY: `${join(directory, 'runtime')}:/other`,
  }
}
const active = (sshKey: string | null): ActiveBuilders => ({
  source: 'nix',
  builders: [aBuilder({ sshKey })],
  problems: [],
  files: [],
  nix: { version: null, system: 'x86_64-linux' },
})

t.test('finds a key by the name of its path', async t => {
  t.equal(credentialName('/etc/nix/builder_ed25519'), 'etc-nix-builder_ed25519')
  const env = passCredentials(t, { 'etc-nix-key': 'SECRET', 'etc-nix-gone': '\n' })
  const { attachCredentials, env: same } = await loadCredentials(env)
  const [builder] = attachCredentials(active('/etc/nix/key')).builders
  t.match(builder, {
    sshKey: '/etc/nix/key',
    credential: join(env.CREDENTIALS_DIRECTORY, 'etc-nix-key'),
  })
  t.equal(attachCredentials(active('/etc/nix/other')).builders[0]?.credential, undefined)
  t.equal(
    attachCredentials(active('/etc/nix/gone')).builders[0]?.credential,
    undefined,
    'whitespace means a missing file',
  )
  t.equal(attachCredentials(active(null)).builders[0]?.credential, undefined)
  t.equal(
    same['NIX_SSHOPTS'],
    undefined,
    'without ssh files the environment stays unchanged',
  )
})

t.test('writes an ssh_config from the ssh files of root', async t => {
  const env = {
    ...passCredentials(t, {
      'ssh-config': 'Host b\n',
      'ssh-known_hosts': 'b ssh-ed25519 AAAA\n',
      'root-.ssh-id_ed25519': 'SECRET',
      'root-.ssh-id_ed25519.pub': 'public',
    }),
    NIX_SSHOPTS: '-F /mine',
  }
  const loaded = await loadCredentials(env)
  const [runtime = ''] = env.RUNTIME_DIRECTORY.split(':')
  const file = join(runtime, 'ssh_config')
  t.equal(
    loaded.env['NIX_SSHOPTS'],
    `-F ${file} -F /mine`,
    "the administrator's is the last",
  )
  const text = readFileSync(file, 'utf8')
  const at = (name: string) => join(env.CREDENTIALS_DIRECTORY, name)
  t.match(text, `Include ${at('ssh-config')}\nInclude /etc/ssh/ssh_config\nHost *\n`)
  t.match(text, `UserKnownHostsFile ${at('ssh-known_hosts')} ~/.ssh/known_hosts`)
  t.match(text, `IdentityFile ${at('root-.ssh-id_ed25519')}\n`)
  t.notMatch(text, /\.pub|SECRET/)
})

t.test('changes nothing without credentials', async t => {
  for (const env of [{}, { CREDENTIALS_DIRECTORY: '/nowhere' }]) {
    const loaded = await loadCredentials(env)
    t.equal(loaded.env, env)
    const list = active('/k')
    t.equal(loaded.attachCredentials(list), list)
  }
})
