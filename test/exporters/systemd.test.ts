/** Notifications to systemd and the condition for watchdog pings. */
import t from 'tap'
import {
  createSystemdExporter,
  isProbing,
  notifyStatus,
} from '../../src/exporters/systemd.ts'
import type { RunRequest, Snapshot } from '../../src/model/index.ts'
import { allOk, builderOf, snapshotOf, stateOf, viewOf } from './fixture.ts'

const ended = {
  code: 0,
  signal: null,
  stdout: '',
  stderr: '',
  truncated: false,
  spawnError: null,
  aborted: false,
}

const fleet = (): Snapshot => snapshotOf([stateOf(builderOf('b1'), allOk())])

t.test('notifies readiness, reloads and stop in order, with the headline', async t => {
  const requests: RunRequest[] = []
  const run = (request: RunRequest) => {
    requests.push(request)
    return Promise.resolve(ended)
  }
  const env = { NOTIFY_SOCKET: '/run/notify' }
  const exporter = createSystemdExporter({ run, env, pid: 7, loginLagSeconds: () => 0 })
  const snapshot = fleet()
  const view = viewOf(snapshot)
  const stop = exporter?.start?.(view)
  const reloading = (reloading: boolean) =>
    view.set({ ...snapshot, monitor: { ...snapshot.monitor, reloading } })
  reloading(true)
  reloading(false)
  stop?.()
  reloading(true)
  await new Promise(resolve => setImmediate(resolve))
  t.same(
    requests.map(({ args }) => args[0]),
    ['READY=1', 'RELOADING=1', 'READY=1', 'STOPPING=1'],
  )
  t.match(requests[0]?.args[1], /^STATUS=\d+ of \d+ builders? available\./)
  t.ok(
    requests.every(
      ({ file, env }) => file === 'systemd-notify' && env?.['NOTIFY_SOCKET'],
    ),
  )
  t.equal(createSystemdExporter({ run, env: {}, pid: 7, loginLagSeconds: () => 0 }), null)
})

t.test('pings the watchdog only while logins make progress', async t => {
  const snapshot = fleet()
  const { login } = snapshot.monitor.intervals
  const limit = Math.max(3 * login, 300)
  t.equal(isProbing(snapshot, limit - 1), true)
  t.equal(isProbing(snapshot, limit), false)
  t.equal(
    isProbing({ ...snapshot, builders: new Map() }, limit),
    true,
    'no builder to probe',
  )
  const sent: string[] = []
  const run = ({ args }: RunRequest) => {
    sent.push(...args)
    return Promise.resolve(ended)
  }
  let lag = 0
  const exporter = createSystemdExporter({
    run,
    env: { NOTIFY_SOCKET: '/run/notify', WATCHDOG_USEC: '40000', WATCHDOG_PID: '7' },
    pid: 7,
    loginLagSeconds: () => lag,
  })
  const view = viewOf(snapshot)
  const stop = exporter?.start?.(view)
  const pings = () => sent.filter(text => text === 'WATCHDOG=1').length
  const turn = () => new Promise(resolve => setTimeout(resolve, 10))
  while (pings() < 3) await turn()
  lag = limit
  await turn()
  const before = pings()
  // Results of other probes, and alerts, publish snapshots all the time
  for (let i = 1; i < 20; i++) {
    view.set({ ...snapshot, version: snapshot.version + i })
    await turn()
  }
  t.equal(pings(), before, 'no ping while no login happens')
  stop?.()
})

t.test('shows a failed start and a failed reload in the status', async t => {
  const sent: (readonly string[])[] = []
  const run = ({ args }: RunRequest) => {
    sent.push(args)
    return Promise.resolve(ended)
  }
  await notifyStatus('cannot\nlisten', { run, env: { NOTIFY_SOCKET: '/run/notify' } })
  await notifyStatus('no NOTIFY_SOCKET', { run, env: {} })
  t.same(sent, [['STATUS=cannot listen']])
  const snapshot = fleet()
  const monitor = { ...snapshot.monitor, lastReloadOk: false }
  const env = { NOTIFY_SOCKET: '/run/notify' }
  const exporter = createSystemdExporter({ run, env, pid: 7, loginLagSeconds: () => 0 })
  const stop = exporter?.start?.(viewOf({ ...snapshot, monitor }))
  await new Promise(resolve => setImmediate(resolve))
  t.match(
    sent[1]?.[1],
    /^STATUS=Reload failed, the previous configuration stays active\. \d+ of/,
  )
  stop?.()
})
