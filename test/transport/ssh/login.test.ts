import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { generateKey } from '../../../src/demo/keys.ts'
import {
  blobOf,
  dialTo,
  has,
  hostKey,
  keyFile,
  pinOf,
  rawServer,
  relay,
  sshServer,
  testWith,
  until,
} from './support.ts'

const rejections: unknown[] = []
process.on('unhandledRejection', reason => rejections.push(reason))
t.teardown(() => {
  if (rejections.length) throw new Error(`unhandled: ${String(rejections[0])}`)
})

t.test('a phase that failed has no duration, as if it had passed', async t => {
  const phasesOf = async (port: number, target: object = {}) => {
    const { outcome } = await dialTo(t, port, { target })()
    if (outcome.status !== 'failed') throw new Error(JSON.stringify(outcome))
    return [outcome.kind, Object.keys(outcome.value?.phases ?? {})]
  }
  t.same(await phasesOf(1), ['tcp_refused', ['dns']])
  t.same(await phasesOf(22, { hostname: 'no-such-host.invalid' }), ['dns', []])
  const silent = await rawServer(t, socket => socket.destroy())
  const [, phases] = await phasesOf(silent)
  t.same(phases, ['dns', 'tcp'], 'closed before the identification')
})

t.test('logs in, measures each phase and passes on the first channel', async t => {
  const commands: string[] = []
  const { port, sessions } = await sshServer(t, {
    exec: (channel, command) => {
      commands.push(command)
      channel.write('hello')
      channel.exit(7)
      channel.end()
    },
  })
  const { outcome, connection } = await dialTo(t, port)()
  if (outcome.status !== 'ok' || !connection) throw new Error(JSON.stringify(outcome))
  t.same(Object.keys(outcome.value.phases), [
    'dns',
    'tcp',
    'banner',
    'kex',
    'auth',
    'channel',
  ])
  for (const [phase, seconds] of Object.entries(outcome.value.phases))
    t.ok(seconds >= 0 && seconds < 5, `${phase} took ${seconds}`)
  t.match(outcome.value, {
    via: `127.0.0.1 port ${port}`,
    hostKey: { type: 'ssh-ed25519', blob: blobOf(hostKey.public), verifiedBy: 'pinned' },
    transport: 'ssh2',
    unreachableAddresses: [],
  })
  t.same(commands, ['nix-daemon --stdio'])
  const first = await connection.open('nix-daemon --stdio', new AbortController().signal)
  t.same(commands, ['nix-daemon --stdio'], 'opens no second channel')
  first.stdout.resume()
  t.same(await first.exit, { code: 7, signal: null })
  const second = await connection.open('nix-daemon --stdio', new AbortController().signal)
  second.stdout.resume()
  await second.exit
  t.equal(commands.length, 2)
  t.equal(sessions.most, 1)
  connection.close()
  t.equal(await connection.closed, 'closed')
})

t.test('keeps the exit status of fast commands', async t => {
  const { port } = await sshServer(t, {
    exec: channel => {
      channel.exit(3)
      channel.end()
    },
  })
  const { connection } = await dialTo(t, port)()
  for (let i = 0; i < 50; i++) {
    const channel = await connection!.open('true', new AbortController().signal)
    // The consumer may come later than the exit
    await new Promise(resolve => setImmediate(resolve))
    channel.stdout.resume()
    const { code } = await channel.exit
    if (code !== 3) return t.fail(`run ${i} returned ${code}`)
  }
  t.pass()
})

t.test('opens two channels at a time; a third waits or is aborted', async t => {
  const { port, sessions } = await sshServer(t, { exec: () => undefined })
  const { connection } = await dialTo(t, port)()
  const ever = new AbortController().signal
  const a = await connection!.open('nix-daemon --stdio', ever)
  const b = await connection!.open('b', ever)
  const abort = new AbortController()
  const c = connection!.open('c', abort.signal)
  abort.abort(new Error('enough'))
  await t.rejects(c, { message: 'enough' })
  const d = connection!.open('d', ever)
  await sleep(50)
  t.equal(sessions.most, 2)
  a.stdout.on('data', () => undefined)
  a.close()
  t.ok(a.stdout.isPaused(), 'output after the close is not read')
  await d
  t.equal(sessions.most, 2)
  b.close()
  t.same(await b.exit, { code: null, signal: null }, 'a closed channel has ended')
  connection!.close()
  await t.rejects(connection!.open('e', ever), /connect/i)
})

t.test('reports a connection closed by the server', async t => {
  const { port, sockets } = await sshServer(t, { exec: () => undefined })
  const { connection } = await dialTo(t, port)()
  const channel = await connection!.open('x', new AbortController().signal)
  channel.stdout.resume()
  for (const socket of sockets) socket.destroy()
  t.match(await connection!.closed, /closed|ECONNRESET/)
  t.same(await channel.exit, { code: null, signal: null })
  await t.rejects(connection!.open('y', new AbortController().signal))
})

t.test('closes the socket after a later protocol error', async t => {
  const { port, sockets } = await sshServer(t, { exec: () => undefined })
  let poison = false
  const between = await relay(t, port, chunk => (poison ? Buffer.alloc(64, 0xff) : chunk))
  const { connection } = await dialTo(t, between)()
  void connection!.open('x', new AbortController().signal).catch(() => undefined)
  poison = true
  t.ok(await connection!.closed)
  await until(() => sockets.size === 0)
})

t.test('quotes the output of another protocol', async t => {
  const meets = async (serve: Parameters<typeof rawServer>[1], ms?: number) => {
    const port = await rawServer(t, serve)
    const signal = ms === undefined ? undefined : AbortSignal.timeout(ms)
    const { outcome, connection } = await dialTo(t, port)(signal)
    t.equal(connection, null)
    return outcome
  }
  t.match(await meets(s => void s.end('HTTP/1.1 400 Bad Request\r\n\r\n<html>')), {
    status: 'failed',
    kind: 'not_ssh',
    params: { detail: /HTTP\/1\.1 400 Bad Request/ },
  })
  t.match(await meets(s => void s.end('\u001b[31mred\u001b[0m \xff\xfe words\r\n')), {
    kind: 'not_ssh',
    params: { detail: /^it sends "red/ },
  })
  t.match(await meets(s => void s.end('Exceeded MaxStartups\r\n')), {
    status: 'busy',
    kind: 'sshd_throttled',
  })
  t.match(await meets(s => void s.end('Not allowed at this time\r\n')), {
    status: 'busy',
    kind: 'sshd_throttled',
  })
  t.match(await meets(s => void s.end()), { status: 'failed', kind: 'sshd_closed' })
  t.match(await meets(s => s.resetAndDestroy()), { kind: 'sshd_closed' })
  t.match(await meets(s => void s.end('SSH-2.0-OpenSSH_9.2\r\n')), {
    kind: 'sshd_closed',
  })
  t.match(await meets(s => void s.write('SSH-1.5-old\r\n')), { status: 'failed' })
})

t.test('times out on silence and on an endless banner', async t => {
  const started = performance.now()
  const tarpit = await rawServer(t, () => undefined)
  const endless = await rawServer(t, socket => {
    const timer = setInterval(() => socket.write('more words, and more\r\n'), 50)
    socket.on('close', () => clearInterval(timer))
  })
  const flood = await rawServer(t, socket => {
    const pour = () => {
      while (!socket.destroyed && socket.write(Buffer.alloc(65_536, 'x')));
    }
    socket.on('drain', pour)
    pour()
  })
  const silentKex = await rawServer(t, s => void s.write('SSH-2.0-OpenSSH_9.2\r\n'))
  const aborted = AbortSignal.timeout(6000)
  const [a, b, c, d] = await Promise.all([
    dialTo(t, tarpit)(),
    dialTo(t, endless)(),
    dialTo(t, flood)(),
    dialTo(t, silentKex)(aborted),
  ])
  t.match(a.outcome, { status: 'failed', kind: 'banner_timeout' })
  t.match(b.outcome, { status: 'failed', kind: 'not_ssh' })
  t.match(c.outcome, { status: 'failed', kind: 'not_ssh' })
  t.match(d.outcome, { status: 'failed', kind: 'kex_timeout' })
  t.ok(performance.now() - started < 20_000)
})

t.test('accepts text before the identification', async t => {
  const greets = await rawServer(
    t,
    socket => void socket.end('Authorized use only\r\nSSH-2.0-OpenSSH_9.2\r\n'),
  )
  t.match(
    (await dialTo(t, greets)()).outcome,
    { kind: 'sshd_closed' },
    'not another protocol',
  )
  const { port } = await sshServer(t)
  let first = true
  const between = await relay(t, port, chunk => {
    const greeting = first ? 'Authorized use only\r\n'.repeat(40) : ''
    first = false
    return Buffer.concat([Buffer.from(greeting), chunk])
  })
  t.match(await dialTo(t, between)(), { outcome: { status: 'ok' } })
})

t.test('reports the lack of a common key exchange', async t => {
  // ssh2 has no other algorithms, so the expected text is that of the server
  const port = await rawServer(t, socket => {
    const name = (text: string) => {
      const length = Buffer.alloc(4)
      length.writeUInt32BE(text.length)
      return Buffer.concat([length, Buffer.from(text)])
    }
    const lists = [
      'mlkem768x25519-sha256',
      'ssh-ed25519',
      ...Array.from({ length: 2 }, () => 'aes128-ctr'),
      ...Array.from({ length: 2 }, () => 'hmac-sha2-256'),
      ...Array.from({ length: 2 }, () => 'none'),
      '',
      '',
    ]
    const payload = Buffer.concat([
      Buffer.from([20]),
      Buffer.alloc(16, 7),
      ...lists.map(name),
      Buffer.alloc(5),
    ])
    const padding = 8 - ((payload.length + 5) % 8) + 8
    const head = Buffer.alloc(5)
    head.writeUInt32BE(payload.length + padding + 1)
    head[4] = padding
    socket.write('SSH-2.0-OpenSSH_10.1\r\n')
    socket.write(Buffer.concat([head, payload, Buffer.alloc(padding)]))
  })
  t.match((await dialTo(t, port)()).outcome, { status: 'failed', kind: 'kex_mismatch' })
})

t.test('reports rejected keys', async t => {
  const { port } = await sshServer(t)
  const other = keyFile(t, generateKey('other').private)
  const wrong = await dialTo(t, port, {
    builder: { sshKey: other },
    target: { identityFiles: [other] },
  })()
  t.match(wrong.outcome, {
    status: 'failed',
    kind: 'auth_denied',
    params: { key: other },
  })
  const none = await dialTo(t, port, {
    builder: { sshKey: null },
    target: { identityFiles: [] },
  })()
  t.match(none.outcome, { kind: 'auth_denied', params: { detail: /no private key/ } })
  const missing = await dialTo(t, port, {
    builder: { sshKey: '/nonexistent/key' },
    target: { identityFiles: [] },
  })()
  t.match(missing.outcome, { kind: 'key_missing', params: { key: '/nonexistent/key' } })
})

t.test('does not accept a group exchange, whose size the server chooses', async t => {
  const { port } = await sshServer(t, {
    algorithms: { kex: ['diffie-hellman-group-exchange-sha256'] },
  })
  t.match((await dialTo(t, port)()).outcome, { status: 'failed', kind: 'kex_mismatch' })
})

t.test('a banner line that Nix takes for an answer of its hook', async t => {
  const { port } = await sshServer(t, { banner: 'Welcome\n# Authorized use only #\n' })
  const login = async (scheme: string, logLevel = 'INFO') =>
    (
      await dialTo(t, port, {
        builder: { scheme },
        target: { options: new Map([['loglevel', [logLevel]]]) },
      })()
    ).outcome
  t.match(await login('ssh-ng'), {
    status: 'degraded',
    kind: 'bad_hook_reply',
    params: { detail: '# Authorized use only #' },
  })
  t.match(await login('ssh'), { status: 'ok' }, 'it is a line of the build log')
  t.match(await login('ssh-ng', 'ERROR'), { status: 'ok' }, 'ssh does not print it')
  const other = await sshServer(t, { banner: 'Welcome\n#hello\n' })
  t.match((await dialTo(t, other.port)()).outcome, { status: 'ok' })
})

t.test('uses what the server says before it refuses', async t => {
  const other = keyFile(t, generateKey('other').private)
  const wrongKey = {
    builder: { sshKey: other },
    target: { identityFiles: [other] },
  }
  const asking = await sshServer(t, {
    banner:
      '# Tailscale SSH requires an additional check.\n# To authenticate, visit: https://x/1\n',
  })
  t.match((await dialTo(t, asking.port, wrongKey)()).outcome, {
    status: 'failed',
    kind: 'auth_check_required',
    evidence: /visit: https:\/\/x\/1/,
  })
  const chatty = await sshServer(t, {
    banner: 'No space left on device is a nice name\n',
  })
  t.match((await dialTo(t, chatty.port, wrongKey)()).outcome, {
    status: 'failed',
    kind: 'auth_denied',
    evidence: /a nice name/,
  })
})

t.test('a server that closes during the authentication', async t => {
  const closing = await sshServer(t, {
    banner: 'Maintenance until noon\n',
    onAuthentication: client => void client.end(),
  })
  t.match((await dialTo(t, closing.port)()).outcome, {
    status: 'failed',
    kind: 'session_ended',
    params: { detail: /during the authentication; it says: Maintenance until noon/ },
  })
})

t.test('reports changed and unknown host keys, and uses an alias', async t => {
  const { port } = await sshServer(t)
  const other = generateKey('other')
  const changed = await dialTo(t, port, {
    builder: { publicHostKey: pinOf(other.public) },
  })()
  t.match(changed.outcome, { status: 'failed', kind: 'host_key_mismatch' })
  const unknown = await dialTo(t, port, { builder: { publicHostKey: null } })()
  t.match(unknown.outcome, { status: 'failed', kind: 'host_key_unknown' })
  t.match(
    unknown.outcome,
    { value: { hostKey: { blob: blobOf(hostKey.public), verifiedBy: 'none' } } },
    'the key is a parameter of the fix',
  )
  const lax = await dialTo(t, port, {
    builder: { publicHostKey: null },
    target: { strict: 'no' },
  })()
  t.match(lax.outcome, { status: 'degraded', kind: 'host_key_unpinned' })
  const alias = await dialTo(t, port, { target: { hostname: 'localhost', family: 4 } })()
  t.match(alias.outcome, { kind: 'host_key_unknown', params: { detail: /HostKeyAlias/ } })
})

testWith(has('ssh-keygen'), 'requests the known host key type', async t => {
  const dir = t.testdir()
  const rsa = join(dir, 'rsa')
  execFileSync('ssh-keygen', ['-q', '-t', 'rsa', '-b', '2048', '-N', '', '-f', rsa])
  const { port } = await sshServer(t, {
    hostKeys: [hostKey.private, readFileSync(rsa, 'utf8')],
  })
  const pin = readFileSync(`${rsa}.pub`, 'utf8').trim()
  t.match(await dialTo(t, port, { builder: { publicHostKey: pinOf(pin) } })(), {
    outcome: {
      status: 'ok',
      value: { hostKey: { type: 'ssh-rsa', blob: blobOf(pin) } },
    },
  })
  t.match(await dialTo(t, port)(), {
    outcome: { status: 'ok', value: { hostKey: { type: 'ssh-ed25519' } } },
  })
})

t.test('reports a server that closes after the login or rejects channels', async t => {
  const closing = await sshServer(t, { onReady: client => void client.end() })
  t.match((await dialTo(t, closing.port)()).outcome, {
    status: 'failed',
    kind: 'session_ended',
  })
  const refusing = await sshServer(t, { refuseChannels: true })
  t.match((await dialTo(t, refusing.port)()).outcome, {
    status: 'failed',
    kind: 'sessions_forbidden',
  })
  await until(() => refusing.sockets.size === 0)
})

t.test('an abort in each phase ends the login at once without leaks', async t => {
  const { port, sockets } = await sshServer(t)
  const lengths: number[] = []
  const relayed = await relay(t, port, chunk => (lengths.push(chunk.length), chunk))
  await dialTo(t, relayed)()
  const total = lengths.reduce((sum, length) => sum + length, 0)
  for (let stop = 0; stop < total; stop += Math.ceil(total / 12)) {
    const abort = new AbortController()
    let sent = 0
    const between = await relay(t, port, chunk => {
      const onward = chunk.subarray(0, Math.max(0, stop - sent))
      sent += chunk.length
      if (sent > stop) setTimeout(() => abort.abort(new Error('enough')), 20)
      return onward
    })
    const started = performance.now()
    const { outcome, connection } = await dialTo(t, between)(abort.signal)
    t.equal(outcome.status, 'failed', `after ${stop} bytes`)
    t.equal(connection, null)
    t.ok(performance.now() - started < 4000)
  }
  await until(() => sockets.size <= 1)
})

t.test('classifies a handshake cut at any byte', async t => {
  const { port } = await sshServer(t)
  let total = 0
  const relayed = await relay(t, port, chunk => ((total += chunk.length), chunk))
  const { outcome } = await dialTo(t, relayed)()
  t.equal(outcome.status, 'ok')
  let stop = 0
  const cut = await rawServerCutting(t, port, () => stop)
  const dial = dialTo(t, cut)
  const kinds = new Set<string>()
  // Every byte of the unencrypted text, then every third
  for (stop = 0; stop < total; stop += stop < 60 ? 1 : 3) {
    const started = performance.now()
    const { outcome, connection } = await dial()
    // The login is complete after the channel is open
    if (outcome.status === 'ok' && stop > total - 150) break
    if (outcome.status !== 'failed' || connection)
      return t.fail(`${stop} bytes of ${total}: ${JSON.stringify(outcome)}`)
    kinds.add(outcome.kind)
    if (performance.now() - started > 4000) return t.fail(`${stop} bytes: waits`)
  }
  t.ok(stop > 1000)
  t.strictSame(
    [...kinds].filter(
      kind => !['not_ssh', 'sshd_closed', 'session_ended'].includes(kind),
    ),
    [],
  )
})

t.test('classifies a handshake with a wrong byte', async t => {
  const { port } = await sshServer(t)
  for (let at = 5; at < 1400; at += 37) {
    let sent = 0
    const between = await relay(t, port, chunk => {
      const onward = Buffer.from(chunk)
      if (at >= sent && at < sent + chunk.length) onward[at - sent]! ^= 0x41
      sent += chunk.length
      return onward
    })
    const { outcome, connection } = await dialTo(t, between)(AbortSignal.timeout(700))
    if (outcome.status !== 'failed' && at > 40)
      return t.fail(`byte ${at}: ${outcome.status}`)
    connection?.close()
  }
  t.pass()
})

t.test('memory stays flat over many logins', async t => {
  const { port, sockets } = await sshServer(t)
  const dial = dialTo(t, port)
  const login = async () => {
    const { connection } = await dial()
    connection?.close()
  }
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as () => void
  const settled = async () => {
    await until(() => sockets.size === 0)
    gc()
    return process.memoryUsage().heapUsed
  }
  for (let i = 0; i < 40; i++) await login()
  const before = await settled()
  for (let i = 0; i < 160; i++) await login()
  const grown = (await settled()) - before
  t.ok(grown < 3 * 1024 * 1024, `${Math.round(grown / 1024)} KiB more`)
})

/** Closes both directions after a number of server bytes. */
const rawServerCutting = async (
  t: Parameters<typeof relay>[0],
  port: number,
  limit: () => number,
): Promise<number> => {
  const sent = new WeakMap<object, number>()
  return relay(t, port, (chunk, client) => {
    const before = sent.get(client) ?? 0
    sent.set(client, before + chunk.length)
    const left = limit() - before
    if (left > chunk.length) return chunk
    client.end(chunk.subarray(0, Math.max(0, left)))
    return null
  })
}
