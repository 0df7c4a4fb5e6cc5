/** A timeout is repeated with the hard deadline before it is believed; what takes long is degraded. */
import t from 'tap'
import { createProbeRunner } from '../../src/engine/probe-runner.ts'
import type { MonitorPorts } from '../../src/engine/system-ports.ts'
import type {
  Deadline,
  Kind,
  LoginValue,
  Outcome,
  Probe,
  Remote,
} from '../../src/model/index.ts'
import { noTraces } from '../../src/state/traces.ts'
import { aBuilder } from '../support/builders.ts'

const { signal } = new AbortController()
const builder = aBuilder()
const remote: Remote = { open: () => Promise.reject(new Error('not used')) }
const failed = (kind: Kind): Outcome<never> => ({ status: 'failed', kind, params: {} })
const aLogin = (phases: LoginValue['phases']): Outcome<LoginValue> => ({
  status: 'ok',
  value: {
    phases,
    via: null,
    hostKey: null,
    transport: 'ssh2',
    unreachableAddresses: [],
    endpoint: 'b1:22',
    certificates: [],
  },
})

/** Creates a runner whose logins take and return these, one after the other. */
const setUp = (logins: readonly { seconds: number; outcome: Outcome<LoginValue> }[]) => {
  const queue = [...logins]
  const deadlines: (Deadline | undefined)[] = []
  let monotonic = 0
  const ports = {
    clock: {
      now: () => monotonic,
      monotonic: () => monotonic,
      sleep: () => Promise.resolve(),
    },
    dial: (_, __, ___, deadline) => {
      deadlines.push(deadline)
      const next = queue.shift()
      if (!next) throw new Error('one login too many')
      monotonic += next.seconds * 1000
      return Promise.resolve({ outcome: next.outcome, connection: null })
    },
  } as Pick<MonitorPorts, 'clock' | 'dial'> as MonitorPorts
  const runner = createProbeRunner({
    ports,
    nix: () => ({ version: null, system: '' }),
    traces: noTraces,
    last: () => null,
    onFirstTimeout: () => undefined,
  })
  return { runner, deadlines, wait: (seconds: number) => (monotonic += seconds * 1000) }
}

t.test('a failure that is no timeout is not repeated', async t => {
  const { runner, deadlines } = setUp([{ seconds: 1, outcome: failed('tcp_refused') }])
  const { login } = await runner.dial(builder, signal)
  t.match(login.outcome, { status: 'failed', kind: 'tcp_refused' })
  t.same(deadlines, ['expected'])
})

t.test('a timeout is repeated with the hard deadline', async t => {
  const { runner, deadlines } = setUp([
    { seconds: 5, outcome: failed('tcp_timeout') },
    { seconds: 60, outcome: failed('tcp_timeout') },
  ])
  const { login } = await runner.dial(builder, signal)
  t.match(login.outcome, { status: 'failed', kind: 'tcp_timeout' })
  t.same(deadlines, ['expected', 'hard'])
})

t.test('a login that needs the hard deadline is slow', async t => {
  const { runner } = setUp([
    { seconds: 10, outcome: failed('login_timeout') },
    { seconds: 15, outcome: aLogin({ tcp: 0.1, kex: 0.2, auth: 14.7 }) },
  ])
  const { login } = await runner.dial(builder, signal)
  t.match(login.outcome, {
    status: 'degraded',
    kind: 'slow_login',
    params: { host: 'b1', detail: 'it took 15.0 s' },
  })
})

t.test('a slow connect and key exchange is the link', async t => {
  const { runner } = setUp([
    { seconds: 12, outcome: aLogin({ tcp: 3, kex: 8, auth: 1 }) },
  ])
  const { login } = await runner.dial(builder, signal)
  t.match(login.outcome, { status: 'degraded', kind: 'slow_link' })
})

t.test('a quick second login is not slow', async t => {
  const { runner } = setUp([
    { seconds: 5, outcome: failed('tcp_timeout') },
    { seconds: 0.2, outcome: aLogin({ tcp: 0.1, kex: 0.1 }) },
  ])
  t.equal((await runner.dial(builder, signal)).login.outcome.status, 'ok')
})

t.test('a probe without a hard deadline is not repeated, one with it is', async t => {
  let runs = 0
  const probe: Probe<'trust'> = {
    name: 'trust',
    summary: '',
    timeoutMs: 1000,
    run: () => {
      runs++
      return Promise.resolve(failed('daemon_frozen'))
    },
    samples: () => [],
  }
  const { runner } = setUp([])
  await runner.runProbe(builder, probe, remote, signal)
  t.equal(runs, 1)
  await runner.runProbe(builder, { ...probe, hardTimeoutMs: 5000 }, remote, signal)
  t.equal(runs, 3)
})

t.test('the explanation of a probe replaces its failure', async t => {
  const { runner } = setUp([])
  const probe: Probe<'trust'> = {
    name: 'trust',
    summary: '',
    timeoutMs: 1000,
    run: () => Promise.resolve(failed('daemon_crash')),
    explain: (_, failure) => Promise.resolve({ ...failure, kind: 'session_ended' }),
    samples: () => [],
  }
  const { outcome } = await runner.runProbe(builder, probe, remote, signal)
  t.match(outcome, { status: 'failed', kind: 'session_ended', params: { host: 'b1' } })
})
