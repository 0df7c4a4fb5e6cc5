import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { PassThrough } from 'node:stream'
import type { ClientChannel, Connection as ServerConnection } from 'ssh2'
import t, { type Test } from 'tap'
import type { Connection } from '../../../src/model/index.ts'
import { createTrafficBudget } from '../../../src/transport/ssh/traffic-budget.ts'
import { flood, message, rekey, sendPayload, sshString, uint32 } from './hostile.ts'
import { createDial } from '../../../src/transport/ssh/dial.ts'
import { createRun } from '../../../src/transport/run.ts'
import { aBuilder } from '../../support/builders.ts'
import {
  clock,
  dialTo,
  has,
  hostKey,
  keyFile,
  never,
  pinOf,
  rawServer,
  sshServer,
  testWith,
  until,
} from './support.ts'

const hostKeyBlob = Buffer.from(hostKey.public.split(' ')[1] ?? '', 'base64')

/** Packets that are sent without end, by what they abuse. Numbers are those of RFC 4250, 4.1.2. */
const packets: Readonly<Record<string, Buffer>> = {
  'global requests that want a reply': message(
    80,
    sshString('keepalive@openssh.com'),
    Buffer.from([1]),
  ),
  'announcements of host keys': message(
    80,
    sshString('hostkeys-00@openssh.com'),
    Buffer.from([0]),
    ...Array.from({ length: 100 }, () => sshString(hostKeyBlob)),
  ),
  'channels that it opens': message(
    90,
    sshString('session'),
    uint32(7),
    uint32(1 << 20),
    uint32(1 << 15),
  ),
  'ignored data': message(2, sshString(Buffer.alloc(30_000, 'x'))),
  'debug messages': message(4, Buffer.from([1]), sshString('text'), sshString('')),
  'notes about packets that we never sent': message(3, uint32(1)),
  extensions: message(7, uint32(1), sshString('server-sig-algs'), sshString('a,b')),
  'packets of an unknown type': message(199, Buffer.alloc(30_000)),
  'data of a channel that does not exist': message(
    94,
    uint32(4711),
    sshString(Buffer.alloc(30_000)),
  ),
  'answers to requests that we never sent': message(81),
  'data without bytes in our channel': message(94, uint32(0), sshString('')),
  'more data in our channel than its window allows': message(
    94,
    uint32(0),
    sshString(Buffer.alloc(30_000, 'x')),
  ),
  'more errors in our channel than its window allows': message(
    95,
    uint32(0),
    uint32(1),
    sshString(Buffer.alloc(30_000, 'x')),
  ),
}

/** Returns the growth of the memory outside of V8's young generation during `work`, MiB. */
const grownBy = async (work: () => Promise<unknown>): Promise<number> => {
  const held = () => {
    const { heapUsed, external } = process.memoryUsage()
    return heapUsed + external
  }
  const before = held()
  let most = before
  const timer = setInterval(() => (most = Math.max(most, held())), 20)
  await work()
  clearInterval(timer)
  return (most - before) / 1024 ** 2
}

const closedReason = async (t: Test, connection: Connection | null): Promise<string> => {
  if (!connection) throw new Error('no connection')
  const reason = await connection.closed
  t.match(reason, /^the traffic budget is exceeded: /)
  return reason
}

for (const [what, payload] of Object.entries(packets))
  t.test(`closes a connection over which the server sends ${what}`, async t => {
    let sent = 0
    let socket: Socket | undefined
    const { port, sockets } = await sshServer(t, {
      // The first command stays open: nobody reads it
      exec: () => undefined,
      onReady: client => {
        const [only] = [...sockets]
        socket = only
        client.on('session', () => {
          setTimeout(() => {
            void flood(only!, () => sendPayload(client, payload)).then(
              count => (sent = count),
            )
          }, 100)
        })
      },
    })
    const grown = await grownBy(async () => {
      const { connection } = await dialTo(t, port)()
      await closedReason(t, connection)
      await until(() => socket?.destroyed === true && sent > 0)
    })
    t.ok(sent < 60_000, `${sent} packets were sent`)
    t.ok(grown < 80, `${grown.toFixed(0)} MiB more`)
  })

t.test('closes a connection whose server exchanges keys without end', async t => {
  let exchanges = 0
  const { port } = await sshServer(t, {
    exec: () => undefined,
    onReady: client => {
      client.on('rekey', () => {
        exchanges++
        rekey(client)
      })
      setTimeout(() => rekey(client), 50)
    },
  })
  const { connection } = await dialTo(t, port)()
  await closedReason(t, connection)
  t.ok(exchanges < 10, `${exchanges} key exchanges`)
})

t.test('ends a login whose server sends banners without end', async t => {
  const { outcome } = await loginAgainst(
    t,
    message(53, sshString('banner\n'), sshString('')),
  )
  t.match(outcome, { status: 'failed', kind: 'ssh_flood', params: { detail: /packets/ } })
})

t.test('ends a login whose server asks for signatures without end', async t => {
  const { outcome, sent } = await loginAgainst(t, 'signatures')
  t.match(outcome, {
    status: 'failed',
    kind: 'ssh_flood',
    params: { detail: /signatures/ },
  })
  t.ok(sent > 0)
})

/** Logs in to a server that answers each authentication with packets without end. */
const loginAgainst = async (t: Test, payload: Buffer | 'signatures') => {
  let sent = 0
  const { port, sockets } = await sshServer(t, {
    onAuthentication: (client: ServerConnection, key) => {
      const answer =
        payload === 'signatures'
          ? message(60, sshString('ssh-ed25519'), sshString(key))
          : payload
      void flood([...sockets][0]!, () => {
        sent++
        sendPayload(client, answer)
      })
    },
  })
  const { outcome } = await dialTo(t, port)()
  return { outcome, sent }
}

t.test('ends a login whose server sends text without an identification', async t => {
  const port = await rawServer(t, socket => {
    const line = `${'a'.repeat(100)}\r\n`
    void flood(socket, () => socket.write(line))
  })
  const { outcome } = await dialTo(t, port)()
  t.match(outcome, { status: 'failed', kind: 'not_ssh' })
})

testWith(
  has('ssh'),
  'a builder that floods is monitored through OpenSSH and degraded',
  async t => {
    let logins = 0
    const { port, sockets } = await sshServer(t, {
      onReady: client => {
        // Only the login of ssh2 is flooded
        if (++logins > 1) return
        const [only] = [...sockets]
        const ignored = packets['ignored data']!
        setTimeout(() => void flood(only!, () => sendPayload(client, ignored)), 100)
      },
    })
    const key = keyFile(t)
    const dial = createDial({
      run: createRun(),
      clock,
      env: { ...process.env, NIX_SSHOPTS: '-F /dev/null' },
      nix: () => ({ version: '2.31.0', system: 'x86_64-linux' }),
    })
    const builder = aBuilder({
      host: '127.0.0.1',
      port,
      user: 'nix',
      sshKey: key,
      publicHostKey: pinOf(hostKey.public),
    })
    const first = await dial(builder, never)
    t.match(first.outcome, { status: 'ok', value: { transport: 'ssh2' } })
    await closedReason(t, first.connection)
    for (let i = 0; i < 2; i++) {
      const next = await dial(builder, never)
      t.match(next.outcome, {
        status: 'degraded',
        kind: 'ssh_flood',
        params: { detail: /outside of our channels/ },
        value: { transport: 'openssh' },
      })
      next.connection?.close()
    }
    t.equal(logins, 3, 'ssh2 is not tried again')
  },
)

t.test('offers no compression and no group exchange', async t => {
  for (const algorithms of [
    { compress: ['zlib@openssh.com'] },
    { compress: ['zlib'] },
    { kex: ['diffie-hellman-group-exchange-sha256'] },
    { kex: ['diffie-hellman-group18-sha512'] },
  ]) {
    const { port } = await sshServer(t, { algorithms: algorithms as never })
    const { outcome } = await dialTo(t, port)()
    t.match(
      outcome,
      { status: 'failed', kind: 'kex_mismatch' },
      JSON.stringify(algorithms),
    )
  }
})

t.test('sends an upload only as fast as the server reads', async t => {
  const { port, sockets } = await sshServer(t, { exec: () => undefined })
  const { connection } = await dialTo(t, port)()
  if (!connection) throw new Error('no connection')
  const channel = await connection.open('cat', never)
  for (const socket of sockets) socket.pause()
  const megabyte = Buffer.alloc(1024 * 1024)
  let written = 0
  const upload = (async () => {
    for (let i = 0; i < 16; i++) {
      await new Promise<void>(resolve => channel.stdin.write(megabyte, () => resolve()))
      written++
    }
  })()
  await Promise.race([upload, sleep(500)])
  t.ok(written < 16, `${written} MiB are written to a server that does not read`)
  t.equal(await Promise.race([connection.closed, sleep(1, 'open')]), 'open')
  connection.close()
  await connection.closed
})

t.test('the budget', async t => {
  const budgetAt = () => {
    const clock = { ms: 0 }
    const reasons: string[] = []
    const budget = createTrafficBudget(
      reason => reasons.push(reason),
      () => clock.ms,
    )
    return { budget, reasons, clock }
  }
  t.test('allows what sshd sends for an hour', async t => {
    const { budget, reasons, clock } = budgetAt()
    for (let second = 0; second < 3600; second++) {
      clock.ms += 1000
      budget.receive(100)
      budget.debug('Inbound: GLOBAL_REQUEST (keepalive@openssh.com)')
      if (second % 900 === 0) budget.countKeyExchange()
    }
    t.same(reasons, [])
  })
  t.test('reports only the first excess', async t => {
    const { budget, reasons } = budgetAt()
    for (let i = 0; i < 5000; i++) budget.debug('Inbound: Received IGNORE')
    budget.checkWriteBuffer(2e6)
    t.same(reasons, ['too many packets outside of our channels'])
  })
  t.test('limits the channels that the server does not close', async t => {
    const { budget, reasons } = budgetAt()
    const channels = Array.from({ length: 40 }, (_, id) =>
      Object.assign(new PassThrough(), { incoming: { id }, stderr: new PassThrough() }),
    )
    for (const channel of channels) {
      budget.addChannel(channel as unknown as ClientChannel)
      channel.emit('close')
    }
    t.same(reasons, [])
    for (const channel of channels) budget.addChannel(channel as unknown as ClientChannel)
    t.same(reasons, ['it does not close channels'])
  })
  t.test('limits the bytes that wait to be sent', async t => {
    const { budget, reasons } = budgetAt()
    budget.checkWriteBuffer(1e6)
    t.same(reasons, [])
    budget.checkWriteBuffer(2e6)
    t.same(reasons, ['it does not read what it requests'])
  })
})
