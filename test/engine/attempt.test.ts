import t from 'tap'
import { attempt } from '../../src/engine/attempt.ts'
import type { Outcome } from '../../src/model/index.ts'
import { systemClock } from '../../src/schedule/clock.ts'
import { ok } from '../support/builders.ts'

const anAttempt = (run: (signal: AbortSignal) => Promise<Outcome>, timeoutMs = 1000) =>
  attempt({
    probe: 'trust',
    timeoutMs,
    params: { host: 'b1' },
    clock: systemClock,
    signal: new AbortController().signal,
    run,
  })

t.test('an exception in a probe is an internal failure, not a crash', async t => {
  const { outcome } = await anAttempt(() => Promise.reject(new Error('boom')))
  t.match(outcome, {
    status: 'failed',
    kind: 'internal',
    params: { detail: 'boom', host: 'b1' },
  })
})

t.test('the signal fires at the deadline and at the end', async t => {
  let received: AbortSignal | undefined
  const { outcome } = await anAttempt(
    signal =>
      new Promise(resolve =>
        signal.addEventListener('abort', () =>
          resolve({ status: 'failed', kind: 'daemon_frozen', params: {} }),
        ),
      ),
    30,
  )
  t.match(outcome, { kind: 'daemon_frozen' })
  await anAttempt(signal => {
    received = signal
    return Promise.resolve(ok())
  })
  t.equal(received?.aborted, true)
})
