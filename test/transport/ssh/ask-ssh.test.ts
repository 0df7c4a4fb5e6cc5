/** The ssh configuration of another user, resolved by `ssh -G`. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { createResolveSshConfigAs } from '../../../src/transport/ssh/resolve-ssh-config-as.ts'
import { createRun } from '../../../src/transport/run.ts'
import { aBuilder } from '../../support/builders.ts'
import { blobOf, clientKey, has, hostKey, never, testWith } from './support.ts'

const homeOf = (t: Test, config: string, knownHosts = ''): string => {
  const home = mkdtempSync(join(tmpdir(), 'ask-ssh-test-'))
  t.teardown(() => rmSync(home, { recursive: true, force: true }))
  mkdirSync(join(home, '.ssh'))
  writeFileSync(join(home, '.ssh/config'), config, { mode: 0o600 })
  writeFileSync(join(home, '.ssh/known_hosts'), knownHosts)
  return home
}
const builder = aBuilder({ user: null, host: 'b1', sshKey: null })
const blob = blobOf(hostKey.public)

const resolveAs = (
  home: string | null,
  env: Record<string, string> = {},
  target = builder,
) =>
  createResolveSshConfigAs({
    run: createRun(),
    env: { PATH: process.env['PATH'] },
    nix: () => ({ version: '2.31.0', system: 'x86_64-linux' }),
  })(target, { env, home, hostKey: blob, signal: never })

testWith(
  has('ssh'),
  'reads the ssh_config of another home, with its defaults',
  async t => {
    const home = homeOf(
      t,
      'Host b1\n  HostName 10.1.2.3\n  IdentityFile ~/.ssh/builder\n',
    )
    const side = await resolveAs(home)
    t.match(side?.target, {
      hostname: '10.1.2.3',
      user: 'root',
      identityFiles: [join(home, '.ssh/builder')],
      userKnownHosts: [join(home, '.ssh/known_hosts'), join(home, '.ssh/known_hosts2')],
    })
    t.equal(side?.hostKeyRejection, 'host_key_unknown')
    const ours = await resolveAs(null)
    t.match(ours?.target, { hostname: 'b1', user: userInfo().username })
    const named = await resolveAs(homeOf(t, 'Host *\n  User other\n'))
    t.equal(named?.target.user, 'other', 'an explicit user wins')
    const line = await resolveAs(home, {}, aBuilder({ user: 'nix', sshKey: null }))
    t.equal(line?.target.user, 'nix', 'the machine line wins')
  },
)

testWith(has('ssh'), 'looks up the host key in known_hosts of another home', async t => {
  const refuses = async (knownHosts: string, config = '') =>
    (await resolveAs(homeOf(t, config, knownHosts)))?.hostKeyRejection
  t.equal(await refuses(`b1 ${hostKey.public}\n`), null)
  t.equal(await refuses(`b2 ${hostKey.public}\n`), 'host_key_unknown')
  t.equal(await refuses(`b2 ${hostKey.public}\n`, 'Host b1\n  HostKeyAlias b2\n'), null)
  t.equal(
    await refuses('', 'Host *\n  StrictHostKeyChecking no\n'),
    null,
    'StrictHostKeyChecking no accepts any key',
  )
  t.equal(await refuses(`b1 ${clientKey.public}\n`), 'host_key_changed')
})

testWith(has('ssh'), 'resolves in another environment', async t => {
  t.equal((await resolveAs(null, { NIX_SSHOPTS: '-p 2200' }))?.target.port, 2200)
  t.equal(
    await resolveAs(null, { NIX_SSHOPTS: '-o NoSuch=1' }),
    null,
    'null if ssh fails',
  )
  t.equal(
    await resolveAs(null, { PATH: '/nowhere' }),
    null,
    'null without an ssh program',
  )
})
