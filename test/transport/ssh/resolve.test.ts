import { execFileSync, spawnSync } from 'node:child_process'
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import type { Builder } from '../../../src/model/index.ts'
import { connectTcp } from '../../../src/transport/ssh/tcp-connect.ts'
import { createDial } from '../../../src/transport/ssh/dial.ts'
import { readIdentities } from '../../../src/transport/ssh/identities.ts'
import { proxyShellCommand } from '../../../src/transport/ssh/proxy.ts'
import { createRun } from '../../../src/transport/run.ts'
import { splitSshOpts, sshCommand } from '../../../src/transport/ssh/ssh-command.ts'
import { parseTarget, resolveTarget } from '../../../src/transport/ssh/ssh-config.ts'
import { checkKey } from '../../../src/transport/ssh/ssh2.ts'
import { aBuilder } from '../../support/builders.ts'
import {
  clientKey,
  clock,
  has,
  hostKey,
  never,
  rawServer,
  sshServer,
  testWith,
} from './support.ts'
import { aTarget } from './target.ts'

const openssh = has('ssh') && has('ssh-keygen')
const nix = { version: '2.31.0', system: 'x86_64-linux' }

const directoryOf = (t: Test): string => {
  const directory = mkdtempSync(join(tmpdir(), 'builder-monitor-test-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

t.test('splits NIX_SSHOPTS by version', async t => {
  const table: [text: string, plain: string[], quoting: string[]][] = [
    ['', [], []],
    ['-p 22', ['-p', '22'], ['-p', '22']],
    ['  -4\t-6\n', ['-4', '-6'], ['-4', '-6']],
    [`-o "A B"`, ['-o', '"A', 'B"'], ['-o', 'A B']],
    [`-o 'A "B'`, ['-o', "'A", `"B'`], ['-o', 'A "B']],
    [String.raw`a\ b`, ['a\\', 'b'], ['a b']],
    [String.raw`"a\"b"`, [String.raw`"a\"b"`], ['a"b']],
    [String.raw`'a\b'`, [String.raw`'a\b'`], [String.raw`a\b`]],
    [`-i""x ''`, ['-i""x', "''"], ['-ix', '']],
  ]
  for (const [text, plain, quoting] of table) {
    t.same(splitSshOpts(text, false), plain, text)
    t.same(splitSshOpts(text, true), quoting, `${text}, quoting`)
  }
  fc.assert(fc.property(fc.string(), text => splitSshOpts(text, true).length >= 0))
})

t.test('builds the ssh command line of Nix', async t => {
  const command = (builder: Partial<Builder>, version: string | null, opts?: string) =>
    sshCommand(aBuilder(builder), { ...nix, version }, opts)
  t.match(command({}, '2.31.0', '-F /f -o "A=b c"'), {
    destination: 'nix@b1',
    options: ['-F', '/f', '-o', 'A=b c', '-i', '/etc/nix/key'],
    pinnedHostName: 'b1',
  })
  t.match(command({}, '2.25.5', '-o "A=b c"'), { options: ['-o', '"A=b', 'c"', '-i'] })
  const port = { host: 'b1', port: 2222, storeUri: 'ssh-ng://nix@b1:2222', sshKey: null }
  t.match(command(port, '2.31.0'), { destination: 'nix@b1', options: ['-p', '2222'] })
  t.match(
    command({ sshKey: null, params: { compress: 'true', 'ssh-key': '/k' } }, null),
    {
      options: ['-i', '/k', '-C'],
    },
  )
  t.equal(command({ scheme: null, host: null, storeUri: 'daemon' } as never, null), null)
})

testWith(openssh, 'resolves the target with ssh -G', async t => {
  const file = join(directoryOf(t), 'config')
  writeFileSync(
    file,
    `Host b1
  HostName 10.9.8.7
  Port 2222
  User builder
  IdentityFile /keys/one
  IdentityFile ~/two
  CertificateFile /keys/one-cert.pub
  IdentitiesOnly yes
  HostKeyAlias alias
  UserKnownHostsFile /known/a /known/b
  GlobalKnownHostsFile /known/global
  StrictHostKeyChecking accept-new
  AddressFamily inet6
  ConnectTimeout 3
  IdentityAgent none
  ProxyJump jump@gate:2200,inner
Host b2
  ProxyCommand relay %h %p
  StrictHostKeyChecking no
  AddressFamily inet
Host *
  IdentityAgent SSH_AUTH_SOCK
`,
  )
  const resolve = async (host: string, user: string | null = null) => {
    const command = sshCommand(
      aBuilder({
        host,
        user,
        sshKey: null,
        storeUri: `ssh-ng://${user ? `${user}@` : ''}${host}`,
      }),
      nix,
      `-F ${file}`,
    )
    if (!command) throw new Error('no command')
    const env = { PATH: process.env['PATH'], SSH_AUTH_SOCK: '/agent' }
    const resolved = await resolveTarget(command, createRun(), env, never)
    const { options, ...target } =
      (resolved.status === 'skipped' ? undefined : resolved.value) ?? {}
    t.ok((options?.size ?? 0) > 50, 'every option')
    return target
  }
  t.strictSame(await resolve('b1'), {
    user: 'builder',
    hostname: '10.9.8.7',
    port: 2222,
    identityFiles: ['/keys/one', `${userInfo().homedir}/two`],
    certificateFiles: ['/keys/one-cert.pub'],
    identitiesOnly: true,
    agent: null,
    userKnownHosts: ['/known/a', '/known/b'],
    globalKnownHosts: ['/known/global'],
    hostKeyAlias: 'alias',
    strict: 'accept-new',
    proxyJump: 'jump@gate:2200,inner',
    proxyCommand: null,
    family: 6,
    connectTimeout: 3,
    serverAliveInterval: null,
  })
  t.match(await resolve('b2', 'nix'), {
    user: 'nix',
    hostname: 'b2',
    port: 22,
    proxyCommand: 'relay %h %p',
    proxyJump: null,
    strict: 'no',
    family: 4,
    connectTimeout: null,
    agent: '/agent',
    hostKeyAlias: null,
  })
  t.match(await resolve('b1', 'nix'), { user: 'nix' }, 'the line wins')
})

testWith(openssh, 'reports an ssh error and a missing ssh', async t => {
  const file = join(directoryOf(t), 'config')
  writeFileSync(file, 'Host b1\n  NoSuchOption yes\n')
  const resolve = (opts: string, path = process.env['PATH']) => {
    const command = sshCommand(aBuilder({ sshKey: null }), nix, opts)
    return resolveTarget(command!, createRun(), { PATH: path }, never)
  }
  t.match(await resolve(`-F ${file}`), {
    status: 'failed',
    kind: 'ssh_config_invalid',
    params: { where: `${file}:2`, detail: /NoSuchOption|nosuchoption/i },
  })
  t.match(await resolve('-F /nonexistent/config'), {
    status: 'failed',
    kind: 'ssh_config_invalid',
    params: { where: 'NIX_SSHOPTS' },
  })
  t.match(await resolve('', '/nonexistent'), { status: 'failed', kind: 'ssh_missing' })
})

t.test('parses any output of ssh -G', async t => {
  fc.assert(
    fc.property(fc.string(), text => typeof parseTarget(text, {}).port === 'number'),
  )
  t.match(parseTarget('hostname x\nport 99\nproxyjump none\nproxycommand none\n', {}), {
    port: 99,
    proxyJump: null,
    proxyCommand: null,
  })
  t.equal(parseTarget('identityagent $SOCK', { SOCK: '/s' }).agent, '/s')
  t.equal(parseTarget('identityagent SSH_AUTH_SOCK', {}).agent, null)
})

const keys = (t: Test) => {
  const directory = directoryOf(t)
  const file = (name: string, text: string | Buffer, mode = 0o600) => {
    const path = join(directory, name)
    writeFileSync(path, text, { mode })
    chmodSync(path, mode)
    return path
  }
  const generate = (name: string, ...args: string[]) => {
    const path = join(directory, name)
    execFileSync('ssh-keygen', ['-q', '-C', 'test', '-f', path, ...args])
    return path
  }
  return { directory, file, generate }
}

testWith(openssh, 'offers keys of every type and format', async t => {
  const { generate } = keys(t)
  const paths = [
    generate('ed25519', '-t', 'ed25519', '-N', ''),
    generate('ecdsa', '-t', 'ecdsa', '-b', '256', '-N', ''),
    generate('rsa', '-t', 'rsa', '-b', '2048', '-N', ''),
    generate('rsa-pem', '-t', 'rsa', '-b', '2048', '-m', 'PEM', '-N', ''),
    generate('ecdsa-pem', '-t', 'ecdsa', '-m', 'PEM', '-N', ''),
  ]
  const found = await readIdentities(paths, null, checkKey)
  t.same(found.problems, [])
  t.same(
    found.usable.map(identity => identity.path),
    paths,
  )
  t.same(found.opensshOnly, [])
})

testWith(openssh, 'reports why each unusable key cannot be used', async t => {
  const { directory, file, generate } = keys(t)
  const good = clientKey.private
  const fifo = join(directory, 'fifo')
  spawnSync('mkfifo', [fifo])
  mkdirSync(join(directory, 'dir'))
  const table: [path: string, kind: string, detail?: RegExp][] = [
    [join(directory, 'missing'), 'key_missing'],
    [join(file('plain', good), 'below'), 'key_missing'],
    [generate('locked', '-t', 'ed25519', '-N', 'secret'), 'key_encrypted'],
    [
      generate('locked-pem', '-t', 'rsa', '-b', '2048', '-m', 'PEM', '-N', 'secret'),
      'key_encrypted',
    ],
    [file('open', good, 0o644), 'key_permissions', /mode 644/],
    [file('group', good, 0o640), 'key_permissions'],
    [file('garbage', 'hello\n'), 'key_unreadable', /not a private key/],
    [file('empty', ''), 'key_unreadable'],
    [file('public', clientKey.public), 'key_unreadable', /not a private key/],
    [file('large', Buffer.alloc(100_000, 'a')), 'key_unreadable', /too large/],
    [join(directory, 'dir'), 'key_unreadable', /not a file/],
    [fifo, 'key_unreadable', /not a file/],
  ]
  for (const [path, kind, detail] of table) {
    const { usable, problems } = await readIdentities([], path, checkKey)
    t.same(usable, [], path)
    t.match(
      problems,
      [{ kind, params: { key: path, ...(detail ? { detail } : {}) } }],
      path,
    )
  }
})

t.test("ignores a missing default key, and puts the line's key first", async t => {
  const { file } = keys(t)
  const own = file('own', clientKey.private)
  const found = await readIdentities(['/nonexistent/id_rsa'], own, checkKey)
  t.match(found, { usable: [{ path: own }], problems: [] })
})

t.test('classifies any bytes of a key', async () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 300 }),
      bytes => checkKey(Buffer.from(bytes)) !== null,
    ),
  )
  const lines = clientKey.private.split('\n')
  fc.assert(
    fc.property(fc.nat(lines.length - 1), fc.string(), (at, text) => {
      checkKey(Buffer.from(lines.with(at, text).join('\n')))
    }),
  )
})

t.test('builds the proxy command', async t => {
  const target = { hostname: '10.0.0.9', port: 2222, user: 'nix' }
  const command = { destination: 'nix@mac', options: [] }
  t.equal(proxyShellCommand(aTarget(target), command, 5), null)
  t.equal(
    proxyShellCommand(
      aTarget({ ...target, proxyCommand: 'relay %h:%p %n %r %% %x' }),
      command,
      5,
    ),
    'exec relay 10.0.0.9:2222 mac nix % %x',
  )
  const jump = (proxyJump: string, options: string[] = []) =>
    proxyShellCommand(aTarget({ ...target, proxyJump }), { ...command, options }, 5)
  const common = 'exec ssh -oBatchMode=yes -oConnectTimeout=5 -oClearAllForwardings=yes'
  t.equal(jump('gate'), `${common} -W '[10.0.0.9]:2222' -- gate`)
  t.equal(jump('me@gate:2200'), `${common} -l me -p 2200 -W '[10.0.0.9]:2222' -- gate`)
  t.equal(jump('[::1]:2200'), `${common} -p 2200 -W '[10.0.0.9]:2222' -- ::1`)
  t.equal(jump('ssh://me@gate:22'), `${common} -l me -p 22 -W '[10.0.0.9]:2222' -- gate`)
  t.equal(jump('a,b@b,c'), `${common} -J a,b@b -W '[10.0.0.9]:2222' -- c`)
  t.equal(jump('x; rm -rf /'), `${common} -W '[10.0.0.9]:2222' -- 'x; rm -rf /'`)
  t.match(jump('gate', ['-C', '-F', '/f']), '-F /f')
  t.match(jump('gate', ['-F/f']), '-F /f')
})

t.test('connects to addresses in order', async t => {
  const port = await rawServer(t, () => undefined)
  const found = await connectTcp('127.0.0.1', port, 0, 1000, never)
  t.match(found, { ok: true, address: '127.0.0.1', failedAddresses: [] })
  if (found.ok) found.socket.destroy()
  t.match(await connectTcp('127.0.0.1', 1, 0, 1000, never), {
    ok: false,
    kind: 'tcp_refused',
    params: { address: '127.0.0.1' },
  })
  t.match(await connectTcp('does-not-exist.invalid', 22, 0, 1000, never), {
    ok: false,
    kind: 'dns',
    tcpSeconds: null,
  })
  const started = performance.now()
  t.match(
    await connectTcp('localhost', port, 4, 60_000, AbortSignal.abort(new Error('late'))),
    {
      ok: false,
    },
  )
  t.ok(performance.now() - started < 10_000)
})

/** An ssh_config that is independent of this machine's user. */
const sshSetup = (t: Test, port: number, more: readonly string[] = []) => {
  const { directory, file } = keys(t)
  const key = file('id', clientKey.private)
  const known = file('known', `[127.0.0.1]:${port} ${hostKey.public}\n`)
  const config = file(
    'config',
    [
      'Host builder',
      '  HostName 127.0.0.1',
      `  Port ${port}`,
      `  IdentityFile ${key}`,
      '  IdentitiesOnly yes',
      '  IdentityAgent none',
      `  UserKnownHostsFile ${known}`,
      '  GlobalKnownHostsFile /dev/null',
      ...more.map(line => `  ${line}`),
      '',
    ].join('\n'),
  )
  const dial = createDial({
    run: createRun(),
    clock,
    env: { ...process.env, NIX_SSHOPTS: `-F ${config}` },
    nix: () => nix,
  })
  const builder = aBuilder({
    host: 'builder',
    storeUri: 'ssh-ng://nix@builder',
    sshKey: null,
  })
  return { directory, known, key, dial, builder }
}

testWith(openssh, 'logs in by an alias of ssh_config', async t => {
  const { port } = await sshServer(t)
  const { dial, builder, known } = sshSetup(t, port)
  const { outcome, connection } = await dial(builder, never)
  connection?.close()
  t.match(outcome, {
    status: 'ok',
    value: { transport: 'ssh2', hostKey: { verifiedBy: 'known_hosts' } },
  })
  execFileSync('ssh-keygen', ['-q', '-H', '-f', known], { stdio: 'ignore' })
  t.match(readFileSync(known, 'utf8'), /^\|1\|/)
  const hashed = await dial(builder, never)
  hashed.connection?.close()
  t.match(hashed.outcome, { status: 'ok' }, 'hashed by ssh-keygen')
})

testWith(openssh, 'confirms a failure with OpenSSH', async t => {
  const { port } = await sshServer(t)
  const { dial, builder, known } = sshSetup(t, port)
  writeFileSync(known, '')
  t.match((await dial(builder, never)).outcome, {
    status: 'failed',
    kind: 'host_key_unknown',
    evidence: /Host key verification failed/,
  })
  const other = sshSetup(t, port)
  writeFileSync(other.key, 'garbage', { mode: 0o600 })
  t.match((await other.dial(other.builder, never)).outcome, {
    status: 'failed',
    kind: 'key_unreadable',
    params: { key: other.key },
  })
})

testWith(
  openssh && has('sshd') && process.getuid?.() === 0,
  'logs in with OpenSSH if ssh2 does not support the server',
  async t => {
    // sshd offers a key exchange that ssh2 does not have
    const { directory, file, generate } = keys(t)
    const host = generate('host', '-t', 'ed25519', '-N', '')
    const authorized = file('authorized', `${clientKey.public}\n`)
    const free = await new Promise<number>(resolve => {
      void rawServer(t, () => undefined).then(resolve)
    })
    const config = file(
      'sshd_config',
      [
        `HostKey ${host}`,
        `AuthorizedKeysFile ${authorized}`,
        'StrictModes no',
        'UsePAM no',
        'KexAlgorithms sntrup761x25519-sha512@openssh.com',
        `PidFile ${join(directory, 'pid')}`,
        '',
      ].join('\n'),
    )
    mkdirSync('/run/sshd', { recursive: true })
    const proxyCommand = `/usr/sbin/sshd -i -e -f ${config}`
    const setup = sshSetup(t, free, [
      `ProxyCommand ${proxyCommand}`,
      `User ${userInfo().username}`,
    ])
    writeFileSync(
      setup.known,
      `[127.0.0.1]:${free} ${readFileSync(`${host}.pub`, 'utf8')}`,
    )
    const builder = { ...setup.builder, user: null, storeUri: 'ssh-ng://builder' }
    const { outcome, connection } = await setup.dial(builder, never)
    t.match(outcome, { status: 'ok', value: { transport: 'openssh' } })
    if (!connection) return
    const channel = await connection.open('cat; echo more >&2; exit 5', never)
    let output = ''
    channel.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
    channel.stderr.resume()
    channel.stdin.end('given')
    t.same(await channel.exit, { code: 5, signal: null })
    t.equal(output, 'given')
    const unread = await connection.open('yes', never)
    unread.close()
    await unread.exit
    connection.close()
    t.equal(await connection.closed, 'closed')
    await t.rejects(connection.open('true', never), /closed/)
  },
)

/** A security key without a device, as `ssh-keygen -t ed25519-sk` writes it; the public key consists of sevens. */
const securityKey =
  'sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHAAAABHNzaDo= me\n'
const securityKeyHandle = `-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAASgAAABpzay1zc2
gtZWQyNTUxOUBvcGVuc3NoLmNvbQAAACAHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH
BwcHBwAAAARzc2g6AAAAqAECAwQBAgMEAAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY2
9tAAAAIAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHAAAABHNzaDoBAAAAQAkJ
CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQ
kJCQkJCQkJCQkAAAAAAAAAAm1lAQIDBAUGBw==
-----END OPENSSH PRIVATE KEY-----
`

testWith(openssh, 'leaves security keys to OpenSSH', async t => {
  const { file } = keys(t)
  const handle = file('id_sk', securityKeyHandle)
  const shown = execFileSync('ssh-keygen', ['-l', '-f', handle], { encoding: 'utf8' })
  t.match(shown, /\(ED25519-SK\)/, 'the recorded file is a security key')
  // The public key can be readable by all, because the agent has the handle
  const half = file('id_sk.pub', securityKey, 0o644)
  for (const path of [handle, half]) {
    const found = await readIdentities([path], path, checkKey)
    t.same(found, { usable: [], problems: [], opensshOnly: [path] })
  }
})

testWith(
  openssh,
  'uses OpenSSH at once if the only key is a security key, and explains the failure',
  async t => {
    const { file } = keys(t)
    const half = file('id_sk.pub', securityKey, 0o644)
    let calls = 0
    const run = createRun()
    const dial = createDial({
      clock,
      env: { PATH: process.env['PATH'], NIX_SSHOPTS: '-F /dev/null' },
      nix: () => nix,
      run: request => {
        const isLogin = request.file === 'ssh' && request.args.includes('exit 0')
        if (!isLogin) return run(request)
        calls++
        return Promise.resolve({
          code: 255,
          signal: null,
          stdout: '',
          stderr:
            'sign_and_send_pubkey: signing failed for ED25519-SK "id_sk": agent refused operation\nnix@b1: Permission denied (publickey).\n',
          truncated: false,
          spawnError: null,
          aborted: false,
        })
      },
    })
    const { outcome } = await dial(aBuilder({ host: '127.0.0.1', sshKey: half }), never)
    t.equal(calls, 1, 'ssh2 makes no attempt')
    t.match(outcome, {
      status: 'failed',
      kind: 'key_signing_failed',
      params: { key: 'id_sk', detail: 'agent refused operation' },
    })
  },
)
