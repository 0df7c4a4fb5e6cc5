/** Options of ssh_config: what our login does not notice, compared with ssh as Nix runs it. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { formatMessage, kindFixes } from '../../../../src/diagnosis/kinds/index.ts'
import { workerMagic } from '../../../../src/nix/protocol/worker.ts'
import { createRun } from '../../../../src/transport/run.ts'
import { createDial } from '../../../../src/transport/ssh/dial.ts'
import { createCheckSshConfig } from '../../../../src/transport/ssh/options/check-ssh-config.ts'
import { aBuilder } from '../../../support/builders.ts'
import {
  clientKey,
  clock,
  has,
  hostKey,
  never,
  rawServer,
  sshServer,
  testWith,
  type ServerOptions,
} from '../support.ts'

const openssh = has('ssh')

/** Answers the first bytes of the worker protocol, as nix-daemon --stdio does. */
const answers: NonNullable<ServerOptions['exec']> = channel => {
  const magic = Buffer.alloc(8)
  magic.writeBigUInt64LE(workerMagic.server)
  channel.once('data', () => channel.write(magic))
  channel.on('end', () => (channel.exit(0), channel.end()))
}

interface SetupOptions {
  readonly exec?: ServerOptions['exec']
  readonly algorithms?: ServerOptions['algorithms']
  readonly nixSshOpts?: string
  readonly version?: string
}

/** A builder `b1` whose ssh_config has these lines, from line 8. */
const setup = async (t: Test, lines: readonly string[], options: SetupOptions = {}) => {
  const directory = mkdtempSync(join(tmpdir(), 'builder-monitor-test-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  const { algorithms } = options
  const { port } = await sshServer(t, {
    exec: options.exec ?? answers,
    ...(algorithms ? { algorithms } : {}),
  })
  const [key, known, config] = ['key', 'known_hosts', 'config'].map(name =>
    join(directory, name),
  ) as [string, string, string]
  writeFileSync(key, clientKey.private, { mode: 0o600 })
  writeFileSync(known, `[127.0.0.1]:${port} ${hostKey.public}\n`)
  writeFileSync(
    config,
    [
      'Host other',
      '  RequestTTY yes',
      'Host *',
      '  HostName 127.0.0.1',
      `  Port ${port}`,
      `  IdentityFile ${key}`,
      `  UserKnownHostsFile ${known}`,
      ...lines.map(line => line.replace('DIRECTORY', directory)),
      '',
    ].join('\n'),
  )
  const env = {
    ...process.env,
    NIX_SSHOPTS: `-F ${config} ${options.nixSshOpts ?? ''}`.trim(),
    SSH_AUTH_SOCK: undefined,
  }
  const nix = () => ({ version: options.version ?? '2.34.0', system: 'x86_64-linux' })
  const run = createRun()
  const dial = createDial({ run, clock, env, nix })
  const builder = aBuilder({ host: 'b1', storeUri: 'ssh-ng://nix@b1', sshKey: null })
  return {
    config,
    known,
    login: async () => {
      const { outcome, connection } = await dial(builder, never)
      connection?.close()
      return outcome
    },
    check: () => createCheckSshConfig({ run, env, nix })(builder, {}, never),
  }
}

const stops: readonly (readonly [option: string, value: string])[] = [
  ['RemoteCommand', '/bin/true'],
  ['StdinNull', 'yes'],
  ['SessionType', 'none'],
  ['SessionType', 'subsystem'],
  ['RequestTTY', 'force'],
  ['PubkeyAuthentication', 'no'],
  ['PreferredAuthentications', 'password'],
  ['PubkeyAcceptedAlgorithms', 'rsa-sha2-512'],
  ['BindAddress', '192.0.2.77'],
  ['BindInterface', 'nosuch0'],
  ['KnownHostsCommand', '/bin/false'],
]
for (const [option, value] of stops)
  testWith(openssh, `${option} ${value} stops builds`, async t => {
    const { login, config } = await setup(t, [`  ${option} ${value}`])
    t.match(await login(), {
      status: 'failed',
      kind: 'ssh_option',
      params: { option, where: `${config}:8`, file: config, line: '8' },
    })
  })

const harmless: readonly (readonly string[])[] = [
  ['  ForkAfterAuthentication yes'],
  ['  LogLevel QUIET'],
  ['  EscapeChar ~', '  RekeyLimit 1K'],
  ['  ControlMaster auto', '  ControlPath DIRECTORY/%C'],
  ['  LocalForward 127.0.0.1:45123 127.0.0.1:9'],
  ['  BindAddress 127.0.0.1'],
  ['  Ciphers aes128-ctr', '  KexAlgorithms curve25519-sha256'],
]
for (const lines of harmless)
  testWith(openssh, `${lines[0]?.trim() ?? ''} is harmless`, async t => {
    const { login, check } = await setup(t, lines)
    t.match(await login(), { status: 'ok' })
    t.equal(await check(), null)
  })

testWith(
  openssh,
  'does not blame an option where the builder does not answer',
  async t => {
    const { login } = await setup(t, ['  StdinNull yes'], {
      exec: channel => (channel.exit(1), channel.end()),
    })
    t.match(await login(), { status: 'ok' })
  },
)

testWith(
  openssh,
  'blames a list of algorithms that the server does not have',
  async t => {
    const algorithms = {
      cipher: ['aes128-ctr' as const],
      kex: ['curve25519-sha256' as const],
    }
    const limited = await setup(t, ['  Ciphers aes256-ctr'], { algorithms })
    t.match(await limited.login(), {
      status: 'failed',
      kind: 'ssh_option',
      params: { option: 'Ciphers', value: 'aes256-ctr', where: `${limited.config}:8` },
    })
  },
)

testWith(
  openssh,
  'blames the server where it has nothing that ssh has by default',
  async t => {
    const { login } = await setup(t, ['  Ciphers aes256-ctr'], {
      algorithms: { cipher: ['aes128-cbc'], hmac: ['hmac-sha1'] },
    })
    t.match(await login(), { status: 'failed', kind: 'kex_mismatch' })
  },
)

testWith(openssh, 'names words of NIX_SSHOPTS', async t => {
  const table: readonly (readonly [opts: string, option: string])[] = [
    ['-N', 'SessionType'],
    ['-n', 'StdinNull'],
    ['-V', '-V'],
    ['-O check', '-O check'],
    ['somehost', 'somehost'],
    ['-tt', 'RequestTTY'],
  ]
  for (const [nixSshOpts, option] of table) {
    const { login, check } = await setup(t, [], { nixSshOpts })
    t.match(
      await login(),
      { status: 'failed', kind: 'ssh_option', params: { option, where: 'NIX_SSHOPTS' } },
      nixSshOpts,
    )
    t.match(await check(), { kind: 'ssh_option', params: { option } }, nixSshOpts)
  }
})

testWith(openssh, 'reports an invalid configuration with its place', async t => {
  const bad = await setup(t, ['  NoSuchOption yes'])
  const expected = {
    kind: 'ssh_config_invalid',
    params: { where: `${bad.config}:8`, detail: /nosuchoption/i },
  }
  t.match(await bad.login(), { status: 'failed', ...expected })
  t.match(await bad.check(), expected)
  const quoted = { nixSshOpts: '-o "ConnectTimeout=5"' }
  t.match(await (await setup(t, [], quoted)).login(), { status: 'ok' })
  t.match(await (await setup(t, [], { ...quoted, version: '2.8.0' })).login(), {
    kind: 'ssh_config_invalid',
    params: { where: 'NIX_SSHOPTS', detail: /does not support quotes/ },
  })
  t.match(await (await setup(t, [], { nixSshOpts: `-o 'a` })).login(), {
    kind: 'ssh_config_invalid',
    params: { where: 'NIX_SSHOPTS', detail: /unterminated/ },
  })
})

testWith(openssh, 'warns of what only a build of Nix shows', async t => {
  const server = createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : 0
  const table: readonly (readonly [option: string, lines: readonly string[]])[] = [
    [
      'ExitOnForwardFailure',
      ['  ExitOnForwardFailure yes', `  LocalForward 127.0.0.1:${port} 127.0.0.1:9`],
    ],
    ['ControlPath', ['  ControlPath /nonexistent/%C', '  ControlMaster auto']],
    ['ControlMaster', ['  ControlMaster ask', '  ControlPath DIRECTORY/%C']],
  ]
  for (const [option, lines] of table) {
    const { login, check, config } = await setup(t, lines)
    const expected = { kind: 'ssh_option', params: { option, where: `${config}:8` } }
    t.match(await login(), { status: 'degraded', ...expected }, option)
    t.match(await check(), expected, option)
  }
})

testWith(openssh, 'obeys RevokedHostKeys', async t => {
  const { login, known } = await setup(t, ['  RevokedHostKeys DIRECTORY/revoked'])
  writeFileSync(join(known, '..', 'revoked'), `${hostKey.public}\n`)
  t.match(await login(), { status: 'failed', kind: 'host_key_revoked' })
  const missing = await setup(t, ['  RevokedHostKeys /nonexistent/revoked'])
  t.match(await missing.login(), {
    kind: 'ssh_option',
    params: { option: 'RevokedHostKeys', where: `${missing.config}:8` },
  })
})

testWith(
  openssh,
  'explains a ProxyCommand that ends early, without its text',
  async t => {
    const closed = await rawServer(t, socket => socket.end())
    for (const command of ['false', `/nonexistent/nc ${closed}`]) {
      const { login, config } = await setup(t, [`  ProxyCommand ${command}`])
      const outcome = await login()
      t.match(outcome, {
        status: 'failed',
        kind: 'ssh_option',
        params: { option: 'ProxyCommand', value: '-', where: `${config}:8` },
      })
    }
  },
)

testWith(openssh, 'names an option that leads to another address', async t => {
  const directory = mkdtempSync(join(tmpdir(), 'builder-monitor-test-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  const { port } = await sshServer(t, { exec: answers })
  const config = join(directory, 'config')
  const login = async (
    host: string,
    lines: readonly string[],
    user: string | null = 'u',
  ) => {
    writeFileSync(config, ['Host *', ...lines, ''].join('\n'))
    const env = {
      ...process.env,
      NIX_SSHOPTS: `-F ${config} -oUserKnownHostsFile=/dev/null -oGlobalKnownHostsFile=/dev/null`,
      SSH_AUTH_SOCK: undefined,
    }
    const nix = () => ({ version: '2.34.0', system: 'x86_64-linux' })
    const dial = createDial({ run: createRun(), clock, env, nix })
    const authority = user === null ? host : `${user}@${host}`
    const builder = aBuilder({
      ...{ host, user, storeUri: `ssh-ng://${authority}`, sshKey: null },
    })
    const { outcome } = await dial(builder, never)
    return outcome
  }
  const proved = await login('127.0.0.1', [`Port ${port}`, 'HostName 127.0.0.9'])
  t.match(proved, {
    kind: 'ssh_option',
    params: {
      option: 'HostName',
      value: '127.0.0.9',
      where: `${config}:3`,
      detail: `127.0.0.1 port ${port} accepts connections`,
    },
  })
  const mentioned = await login('127.0.0.9', ['Port 1'])
  t.match(mentioned, {
    kind: 'tcp_refused',
    params: { changedBy: 'Port 1', changedAt: `${config}:2` },
  })
  if (!('kind' in mentioned)) return
  t.match(
    formatMessage(mentioned.kind, mentioned.params),
    /connection refused; Port 1 comes from .*config:2, not from the machine line$/,
  )
  t.match(kindFixes(mentioned.kind, mentioned.params)[0], {
    text: /Port 1 \(.*config:2\)/,
  })
})
