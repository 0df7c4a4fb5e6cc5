/** Delivery of alerts to Alertmanagers and webhooks over real HTTP. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import fc from 'fast-check'
import { startAlertmanagers } from '../../../src/alerts/delivery/alertmanager.ts'
import { alertsApiExporter } from '../../../src/exporters/api/alerts.ts'
import { post, type Post } from '../../../src/alerts/delivery/post.ts'
import type {
  AlertmanagerSettings,
  ReceiverSettings,
  WebhookSettings,
} from '../../../src/alerts/delivery/receivers.ts'
import { createDeliveryMetrics } from '../../../src/alerts/delivery/delivery-metrics.ts'
import { startWebhooks } from '../../../src/alerts/delivery/webhook.ts'
import { silentLog } from '../../../src/log/log.ts'
import type { Alert, Clock } from '../../../src/model/index.ts'
import { alertOf, now, serve, snapshotOf, viewOf } from '../../exporters/fixture.ts'
import { ok, startReceiver, status, until, type Answer } from './receiver.ts'

interface Options {
  readonly alertmanagers?: readonly AlertmanagerSettings[]
  readonly webhooks?: readonly WebhookSettings[]
  /** Replaces the real one. */
  readonly post?: Post
  /** State of a previous run, by section. */
  readonly persisted?: Readonly<Record<string, unknown>>
}

/** Starts delivery with a manual view and a manual clock: sleeps last until `pass`. */
const startSenders = (t: Test, options: Options) => {
  const view = viewOf(snapshotOf([]))
  const metrics = createDeliveryMetrics()
  let wall = now * 1000
  let steady = 1000
  const sleeps = new Set<{ readonly end: number; readonly wake: () => void }>()
  const clock: Clock = {
    now: () => wall,
    monotonic: () => steady,
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        const sleep = { end: steady + ms, wake: resolve }
        sleeps.add(sleep)
        signal.addEventListener('abort', () => {
          sleeps.delete(sleep)
          reject(new Error('woken'))
        })
        if (signal.aborted) reject(new Error('woken'))
      }),
  }
  const sections = new Map<string, () => unknown>()
  let settings: ReceiverSettings = {
    enable: true,
    alertmanagers: options.alertmanagers ?? [],
    webhooks: options.webhooks ?? [],
  }
  const lines: string[] = []
  const say = (fields: object, message: string) =>
    void lines.push(`${message} ${JSON.stringify(fields)}`)
  const senders = {
    receivers: () => settings,
    persistedState: (section: string) => ({
      read: () => options.persisted?.[section],
      write: (value: () => unknown) => void sections.set(section, value),
      flush: () => Promise.resolve(),
    }),
    metrics,
    post: options.post ?? post,
    clock,
    log: { ...silentLog, info: say, warn: say },
    random: () => 0.5,
  }
  const stops = [startAlertmanagers(view, senders), startWebhooks(view, senders)]
  const stop = () => {
    for (const stop of stops) stop?.()
  }
  t.teardown(stop)
  return {
    lines,
    stop,
    show: (list: readonly Alert[]) =>
      view.set(snapshotOf([], { alerts: { externalUrl: 'http://here', list } })),
    configure: (next: Partial<ReceiverSettings>) => {
      settings = { ...settings, ...next }
      view.set({ ...view.read(), version: view.read().version + 1 })
    },
    pass: (seconds: number) => {
      wall += seconds * 1000
      steady += seconds * 1000
      for (const sleep of sleeps)
        if (sleep.end <= steady) {
          sleeps.delete(sleep)
          sleep.wake()
        }
    },
    jump: (seconds: number) => (wall += seconds * 1000),
    /** Seconds until the only sleep ends. */
    pause: () => (Math.max(...[...sleeps].map(({ end }) => end)) - steady) / 1000,
    sleeping: () => sleeps.size,
    written: () =>
      JSON.parse(
        JSON.stringify(
          Object.fromEntries([...sections].map(([name, value]) => [name, value()])),
        ),
      ) as Record<string, unknown>,
    count: (family: string, receiver: string) =>
      metrics
        .samples()
        .find(
          sample =>
            sample.family === `builder_monitor_${family}` &&
            sample.labels['receiver'] === receiver,
        )?.value,
  }
}

const resolvedOf = (alert: Alert, endsAt = now): Alert => ({
  ...alert,
  state: 'resolved',
  endsAt,
})

interface Posted {
  readonly labels: Readonly<Record<string, string>>
  readonly startsAt: string
  readonly endsAt: string
}
const alertsIn = (body: string) => JSON.parse(body) as readonly Posted[]
const secondsOf = (text: string) => Date.parse(text) / 1000

void t.test(
  'Alertmanager: resends firing alerts every minute and resolved ones for five',
  async t => {
    const a = await startReceiver(t)
    const b = await startReceiver(t)
    const s = startSenders(t, {
      alertmanagers: [{ url: `${a.url}/prefix/` }, { url: b.url, name: 'other' }],
    })
    const alert = alertOf('b1')
    s.show([alert, alertOf('b2', { state: 'pending', startsAt: null })])
    await until('both peers', () => a.got.length === 1 && b.got.length === 1)
    t.equal(a.got[0]?.path, '/prefix/api/v2/alerts')
    t.strictSame(JSON.parse(b.got[0]?.body ?? ''), [
      {
        labels: alert.labels,
        annotations: alert.annotations,
        startsAt: new Date((now - 60) * 1000).toISOString(),
        endsAt: new Date((now + 240) * 1000).toISOString(),
        generatorURL: alert.generatorUrl,
      },
    ])
    await until('a pause', () => s.sleeping() === 2)
    s.pass(55)
    await until('a pause', () => s.sleeping() === 2)
    t.equal(b.got.length, 1, 'not yet')
    s.pass(5)
    await until('again', () => b.got.length === 2)
    s.show([resolvedOf(alert, now + 60)])
    await until('over', () => b.got.length === 3)
    t.equal(secondsOf(alertsIn(b.got[2]?.body ?? '')[0]?.endsAt ?? ''), now + 60)
    await until('a pause', () => s.sleeping() === 2)
    s.pass(60)
    await until('over, again', () => b.got.length === 4)
    s.show([])
    await until('a pause', () => s.sleeping() === 2)
    s.pass(60)
    await until('a pause', () => s.sleeping() === 2)
    t.equal(b.got.length, 4, 'resolved alerts are not resent any more')
    t.equal(s.count('notifications_total', 'other'), 4)
    t.equal(s.count('notifications_failed_total', a.label), 0)
    s.configure({ enable: false })
    t.equal(s.count('notifications_total', 'other'), undefined)
  },
)

void t.test('Alertmanager: sends the newest state after an hour of failures', async t => {
  const a = await startReceiver(t, status(500, 'no'))
  const s = startSenders(t, { alertmanagers: [{ url: a.url }] })
  const [alert, two, three] = [alertOf('b1'), alertOf('b2'), alertOf('b3')]
  s.show([alert, two])
  for (let i = 0; i < 60; i++) {
    await until('a pause', () => s.sleeping() === 1)
    t.ok(s.pause() <= 75, 'at most a minute, and jitter')
    if (i === 3) s.show([alert, two, three])
    if (i === 6) s.show([alert, resolvedOf(two), three])
    if (i === 9) s.show([alert, three])
    s.pass(60)
  }
  const before = a.got.length
  t.ok(before >= 30 && before <= 65, `${before} tries in an hour`)
  t.equal(s.count('notifications_failed_total', a.label), 0, 'nothing is lost')
  t.equal(s.count('notifications_queue_length', a.label), 3)
  a.answerWith(ok)
  s.pass(60)
  await until('the state', () => s.count('notifications_total', a.label) === 3)
  const sent = alertsIn(a.got.at(-1)?.body ?? '')
  const ends = new Map(sent.map(x => [x.labels['builder'], secondsOf(x.endsAt)]))
  t.equal(ends.get('b2'), now, 'endsAt is the time of the end')
  t.ok((ends.get('b1') ?? 0) > now + 3600)
  t.equal(secondsOf(sent[0]?.startsAt ?? ''), now - 60, 'startsAt is unchanged')
  t.equal(a.most(), 1, 'never two at a time')
  t.match(
    s.lines.join('\n'),
    /alert delivery failed, retrying.*500: no[^]*alert delivery works again/,
  )
  t.equal(s.lines.length, 2, 'logs the failure and the recovery once')
})

void t.test(
  'Alertmanager: delivers an unsent resolved alert after a restart',
  async t => {
    const a = await startReceiver(t, status(503))
    const s = startSenders(t, { alertmanagers: [{ url: a.url }] })
    const alert = alertOf('b1')
    s.show([alert])
    s.show([resolvedOf(alert)])
    s.show([])
    s.stop()
    a.answerWith(ok)
    const again = startSenders(t, {
      alertmanagers: [{ url: a.url }],
      persisted: s.written(),
    })
    again.show([])
    await until('delivered', () => again.count('notifications_total', a.label) === 1)
    t.equal(secondsOf(alertsIn(a.got.at(-1)?.body ?? '')[0]?.endsAt ?? ''), now)
  },
)

void t.test('Alertmanager: isolates one invalid alert of 1,000', async t => {
  const delivered = new Set<string>()
  const picky: Answer = ({ body }, response) => {
    const builders = alertsIn(body).map(({ labels }) => labels['builder'] ?? '')
    if (builders.includes('b500')) return void response.writeHead(400).end('bad label')
    for (const builder of builders) delivered.add(builder)
    response.end()
  }
  const a = await startReceiver(t, picky)
  const s = startSenders(t, { alertmanagers: [{ url: a.url }] })
  s.show(Array.from({ length: 1000 }, (_, i) => alertOf(`b${i}`)))
  await until('999', () => s.count('notifications_total', a.label) === 999)
  await until('given up', () => s.count('notifications_failed_total', a.label) === 1)
  t.equal(delivered.size, 999)
  t.ok(a.got.length < 40, `${a.got.length} requests`)
  t.ok(a.got.every(({ body }) => body.length < 64 * 1024))
  await until('a pause', () => s.sleeping() === 1)
  s.pass(300)
  await until('a pause', () => s.sleeping() === 1 && delivered.size === 999)
  t.equal(
    s.count('notifications_failed_total', a.label),
    1,
    'the invalid alert is counted once',
  )
})

void t.test('Alertmanager: gets the current state after any failures', async t => {
  const url = 'http://alerts'
  const event = fc.record({
    flip: fc.subarray(['b1', 'b2', 'b3']),
    answer: fc.constantFrom(200, 200, 500, 400, null),
    restart: fc.integer({ min: 0, max: 9 }).map(n => n === 0),
    seconds: fc.integer({ min: 1, max: 200 }),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(event, { maxLength: 25 }), async events => {
      let answer: number | null = 200
      const ends = new Map<string, number>()
      const everFired = new Set<string>()
      const take: Post = ({ body }) => {
        if (answer === null) return Promise.resolve({ status: null, reason: 'away' })
        if (answer === 200)
          for (const { labels, endsAt } of alertsIn(body)) {
            const builder = labels['builder'] ?? ''
            if (!everFired.has(builder))
              throw new Error('received an alert that never fired')
            ends.set(builder, secondsOf(endsAt))
          }
        return Promise.resolve({ status: answer, body: '' })
      }
      let time = now
      let s = startSenders(t, { alertmanagers: [{ url }], post: take })
      const firing = new Map<string, Alert>()
      const over = new Map<string, Alert>()
      const show = () => s.show([...firing.values(), ...over.values()])
      for (const { flip, answer: next, restart, seconds } of events) {
        answer = next
        for (const builder of flip) {
          const was = firing.get(builder)
          firing.delete(builder)
          over.delete(builder)
          everFired.add(builder)
          if (was) over.set(builder, resolvedOf(was, time))
          else firing.set(builder, alertOf(builder, { startsAt: time }))
        }
        show()
        if (restart) {
          s.stop()
          const persisted = s.written()
          s = startSenders(t, { alertmanagers: [{ url }], post: take, persisted })
          s.jump(time - now)
          show()
        }
        await until('a pause', () => s.sleeping() === 1)
        time += seconds
        s.pass(seconds)
      }
      answer = 200
      // Rejected alerts are resent after ten minutes
      for (let i = 0; i < 12; i++) {
        await until('a pause', () => s.sleeping() === 1)
        time += 61
        s.pass(61)
      }
      await until('a pause', () => s.sleeping() === 1)
      s.stop()
      for (const builder of firing.keys())
        if ((ends.get(builder) ?? 0) < time) throw new Error(`${builder} is thought over`)
      for (const builder of over.keys())
        if ((ends.get(builder) ?? 0) > time)
          throw new Error(`${builder} is thought firing`)
    }),
    { numRuns: 40 },
  )
})

void t.test(
  'never ends an alert before its start when the wall clock jumps back',
  async t => {
    const a = await startReceiver(t)
    const s = startSenders(t, { alertmanagers: [{ url: a.url }] })
    s.jump(-86_400)
    s.show([alertOf('b1'), resolvedOf(alertOf('b2'))])
    await until('delivered', () => a.got.length === 1)
    for (const alert of alertsIn(a.got[0]?.body ?? ''))
      t.ok(secondsOf(alert.startsAt) <= secondsOf(alert.endsAt))
  },
)

interface Payload {
  readonly status: string
  readonly groupKey: string
  readonly truncatedAlerts: number
  readonly commonLabels: Readonly<Record<string, string>>
  readonly alerts: readonly (Posted & {
    readonly status: string
    readonly fingerprint: string
  })[]
}
const payloadIn = (body: string) => JSON.parse(body) as Payload
const storyOf = ({ alerts }: Payload) =>
  alerts.map(({ status, labels }) => `${labels['builder']} ${status}`).join(', ')

void t.test(
  'webhook: sends changes in payload version 4 and repeats them after hours',
  async t => {
    const hook = await startReceiver(t)
    const s = startSenders(t, {
      webhooks: [{ name: 'hook', url: `${hook.url}/secret?x=1`, repeatHours: 4 }],
    })
    const [alert, two] = [alertOf('b1'), alertOf('b2')]
    s.show([alert])
    await until('first', () => hook.got.length === 1)
    t.equal(hook.got[0]?.path, '/secret?x=1')
    t.strictSame(JSON.parse(hook.got[0]?.body ?? ''), {
      version: '4',
      groupKey: '{}:{alertname="NixBuilderDown"}',
      truncatedAlerts: 0,
      status: 'firing',
      receiver: 'hook',
      groupLabels: { alertname: 'NixBuilderDown' },
      commonLabels: alert.labels,
      commonAnnotations: alert.annotations,
      externalURL: 'http://here',
      alerts: [
        {
          status: 'firing',
          labels: alert.labels,
          annotations: alert.annotations,
          startsAt: new Date((now - 60) * 1000).toISOString(),
          endsAt: '0001-01-01T00:00:00Z',
          generatorURL: alert.generatorUrl,
          fingerprint: alert.fingerprint,
        },
      ],
    })
    await until('a pause', () => s.sleeping() === 1)
    for (let i = 0; i < 10; i++) {
      s.show([{ ...alert, value: i }])
      s.pass(60)
      await until('a pause', () => s.sleeping() === 1)
    }
    t.equal(hook.got.length, 1, 'sends nothing without a change')
    s.show([alert, two])
    await until('second', () => hook.got.length === 2)
    t.notOk('builder' in payloadIn(hook.got[1]?.body ?? '').commonLabels)
    s.show([resolvedOf(alert), two])
    await until('third', () => hook.got.length === 3)
    const third = payloadIn(hook.got[2]?.body ?? '')
    t.equal(storyOf(third), 'b1 resolved, b2 firing')
    t.equal(third.status, 'firing', 'the group is still firing')
    await until('a pause', () => s.sleeping() === 1)
    s.pass(3.9 * 3600)
    await until('a pause', () => s.sleeping() === 1)
    t.equal(hook.got.length, 3)
    s.pass(0.2 * 3600)
    await until('repeated', () => hook.got.length === 4)
    t.equal(storyOf(payloadIn(hook.got[3]?.body ?? '')), 'b2 firing')
    s.show([resolvedOf(two)])
    await until('over', () => hook.got.length === 5)
    t.match(payloadIn(hook.got[4]?.body ?? ''), { status: 'resolved' })
    t.notMatch(s.lines.join(), /secret/)
  },
)

void t.test(
  'webhook: sends everything once and in order after an hour of failures',
  async t => {
    const hook = await startReceiver(t, status(502))
    const webhooks = [{ name: 'hook', url: hook.url, repeatHours: 4 }]
    const s = startSenders(t, { webhooks })
    const alert = alertOf('b1')
    const later = { ...alert, startsAt: now + 100 }
    s.show([alert])
    s.show([resolvedOf(alert, now + 50)])
    s.show([later])
    for (let i = 0; i < 60; i++) {
      await until('a pause', () => s.sleeping() === 1)
      s.pass(60)
    }
    t.equal(s.count('notifications_queue_length', 'hook'), 3)
    s.stop()
    // After a restart the same alerts are not new
    const before = hook.got.length
    hook.answerWith(ok)
    const again = startSenders(t, { webhooks, persisted: s.written() })
    again.show([later])
    await until('all', () => hook.got.length === before + 3)
    t.strictSame(
      hook.got.slice(before).map(({ body }) => storyOf(payloadIn(body))),
      ['b1 firing', 'b1 resolved', 'b1 firing'],
    )
    await until('a pause', () => again.sleeping() === 1)
    again.stop()
    const third = startSenders(t, { webhooks, persisted: again.written() })
    third.show([later])
    await until('a pause', () => third.sleeping() === 1)
    t.equal(hook.got.length, before + 3, 'a restart sends nothing again')
    third.show([])
    await until('over', () => hook.got.length === before + 4)
    t.equal(hook.most(), 1)
  },
)

void t.test(
  'webhook: splits 1,000 alerts into requests and counts rejected ones',
  async t => {
    const hook = await startReceiver(t)
    const s = startSenders(t, {
      webhooks: [{ name: 'hook', url: hook.url, repeatHours: 4 }],
    })
    const all = Array.from({ length: 1000 }, (_, i) => alertOf(`b${i}`))
    s.show(all)
    await until('all', () => s.count('notifications_queue_length', 'hook') === 0)
    const delivered = new Set(
      hook.got.flatMap(({ body }) => payloadIn(body).alerts.map(a => a.fingerprint)),
    )
    t.equal(delivered.size, 1000)
    hook.answerWith(status(404))
    s.show(all.map(alert => resolvedOf(alert)))
    await until('given up', () => s.count('notifications_failed_total', 'hook') === 1000)
    t.match(s.lines.join(), /notification rejected by the receiver and dropped.*404/)

    const gone = alertOf('gone')
    s.show([gone])
    await until('refused', () => s.count('notifications_failed_total', 'hook') === 1001)
    const before = hook.got.length
    hook.answerWith(ok)
    s.show([resolvedOf(gone)])
    await until('a pause', () => s.sleeping() === 1)
    t.equal(hook.got.length, before, 'no resolved alert without its firing one')
  },
)

void t.test('webhook: drops resolved alerts first when the queue is full', async t => {
  const hook = await startReceiver(t, status(500))
  const s = startSenders(t, {
    webhooks: [{ name: 'hook', url: hook.url, repeatHours: 4 }],
  })
  const last = alertOf('last')
  for (let i = 0; i < 2100; i++) {
    const alert = alertOf('b1', { startsAt: now + i })
    s.show([alert])
    s.show([resolvedOf(alert, now + i)])
  }
  s.show([last])
  t.equal(s.count('notifications_queue_length', 'hook'), 3999)
  t.equal(s.count('notifications_failed_total', 'hook'), 202)
  t.match(JSON.stringify(s.written()), /"last"/)
})

/** A server that speaks no HTTP, or too much of it. */
const rawServer = async (
  t: Test,
  speak: (write: (text: string) => boolean, end: () => void) => void,
) => {
  let connections = 0
  const server = createServer(socket => {
    connections += 1
    socket.on('error', () => undefined)
    socket.once('data', () =>
      speak(
        text => socket.write(text),
        () => socket.destroy(),
      ),
    )
    t.teardown(() => socket.destroy())
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}`, connections: () => connections }
}

void t.test(
  'reports an error within ten seconds for each kind of broken receiver',
  async t => {
    const sendTo = (url: string, access = {}) =>
      post({ url, access, body: '[]', signal: new AbortController().signal })
    const hangs = await rawServer(t, () => undefined)
    const garbage = await rawServer(t, write => write('SSH-2.0-OpenSSH_9.2\r\n'))
    const closes = await rawServer(t, (_, end) => end())
    const cut = await rawServer(t, (write, end) => {
      write('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf')
      end()
    })
    const endless = await rawServer(t, write => {
      write('HTTP/1.1 500 Oh\r\n\r\n')
      const timer = setInterval(() => write('x'.repeat(65_536)), 1)
      t.teardown(() => clearInterval(timer))
    })
    const headers = await rawServer(t, write => {
      write('HTTP/1.1 200 OK\r\n')
      const timer = setInterval(() => write(`a: ${'x'.repeat(4096)}\r\n`), 1)
      t.teardown(() => clearInterval(timer))
    })
    const slow = await rawServer(t, write => {
      write('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n')
    })
    const started = performance.now()
    const [hung, ...others] = await Promise.all(
      [hangs, garbage, closes, cut, endless, headers, slow].map(({ url }) => sendTo(url)),
    )
    t.strictSame(hung, { status: null, reason: 'no response within 10 s' })
    t.ok(performance.now() - started < 15_000)
    t.match(others[0], { status: null, reason: /Parse Error|HPE/ })
    t.match(others[1], { status: null, reason: /ECONNRESET|hang up/ })
    t.equal(others[3]?.status, 500)
    t.match(others[4], { status: null, reason: /\w/ })
    t.match(others[5], { status: 200 }, 'the status counts even without the body')
    t.ok(
      others.every(result => result.status === null || result.body.length <= 300),
      'the body is truncated',
    )
    const away = await startReceiver(t, (_, response) =>
      response.writeHead(302, { location: hangs.url }).end(),
    )
    t.match(await sendTo(away.url), { status: 302 })
    t.equal(hangs.connections(), 1, 'redirects are not followed')
    t.match(await sendTo('http://127.0.0.1:1'), { status: null, reason: /ECONNREFUSED/ })
    t.match(await sendTo('http://nowhere.invalid'), {
      status: null,
      reason: /ENOTFOUND|EAI/,
    })
  },
)

void t.test('reads secrets from files and never logs them', async t => {
  const dir = await mkdtemp(join(tmpdir(), 'senders-'))
  t.teardown(() => rm(dir, { recursive: true, force: true }))
  const file = (name: string) => join(dir, name)
  await writeFile(file('password'), 'hunter2\n')
  await writeFile(file('token'), 'tok-1')
  await writeFile(file('bad'), 'two\nlines\n')
  const a = await startReceiver(t)
  await writeFile(file('url'), `${a.url}/hooks/planted-secret\n`)
  const s = startSenders(t, {
    alertmanagers: [
      { name: 'basic', url: a.url, username: 'me', passwordFile: file('password') },
      { name: 'bearer', url: a.url, tokenFile: file('token') },
      { name: 'bad', url: a.url, tokenFile: file('bad') },
      { name: 'none', url: a.url, tokenFile: file('none') },
    ],
    webhooks: [{ name: 'hook', urlFile: file('url'), repeatHours: 4 }],
  })
  s.show([alertOf('b1')])
  await until('three', () => a.got.length === 3)
  t.strictSame(
    new Set(a.got.map(({ headers, path }) => headers.authorization ?? path)),
    new Set([
      `Basic ${Buffer.from('me:hunter2').toString('base64')}`,
      'Bearer tok-1',
      '/hooks/planted-secret',
    ]),
  )
  await until('both logged', () => s.lines.length === 2)
  t.match(s.lines.join('\n'), /bad must contain exactly one line/)
  t.match(s.lines.join('\n'), /none is not readable \(no such file\)/)
  t.notMatch(s.lines.join('\n'), /hunter2|tok-1|planted/)
  await writeFile(file('none'), 'now')
  s.pass(5)
  await until('fixed', () => a.got.length === 4)
})

void t.test('GET /api/v1/alerts has the format of the Prometheus API', async t => {
  const view = viewOf(
    snapshotOf([], {
      alerts: {
        externalUrl: 'http://here',
        list: [alertOf('b1'), resolvedOf(alertOf('b2'))],
      },
    }),
  )
  const server = await serve(view, alertsApiExporter)
  t.teardown(() => server.close())
  const { labels, annotations } = alertOf('b1')
  t.strictSame(JSON.parse((await server.get('/api/v1/alerts')).body), {
    status: 'success',
    data: {
      alerts: [
        {
          labels,
          annotations,
          state: 'firing',
          activeAt: new Date((now - 360) * 1000).toISOString(),
          value: '1',
        },
      ],
    },
  })
})
