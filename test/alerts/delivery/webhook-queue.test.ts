import t from 'tap'
import fc from 'fast-check'
import { createWebhookQueue } from '../../../src/alerts/delivery/webhook-queue.ts'
import type { Alert } from '../../../src/model/index.ts'
import { alertOf, now } from '../../exporters/fixture.ts'

/** What a receiver that keeps a list makes of a batch; complains of an end without a begin, and of a begin that is not new. */
const listen = () => {
  const firing = new Map<string, number | null>()
  return {
    firing,
    hear: (news: readonly Alert[]) => {
      for (const { fingerprint, state, startsAt } of news) {
        if (state === 'resolved') {
          if (firing.get(fingerprint) !== startsAt) throw new Error('an end of nothing')
          firing.delete(fingerprint)
        } else {
          if (firing.has(fingerprint)) throw new Error('told twice as new')
          firing.set(fingerprint, startsAt)
        }
      }
    },
  }
}

const builders = ['b1', 'b2', 'b3']
const event = fc.oneof(
  fc.record({
    what: fc.constant('flip' as const),
    builder: fc.constantFrom(...builders),
  }),
  fc.record({ what: fc.constantFrom('forget', 'restart', 'taken', 'refused') }),
)

void t.test(
  'whatever fails when, each begin is told before its end, and once',
  async () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 80 }), events => {
        let queue = createWebhookQueue(4)
        const receiver = listen()
        const truth = new Map<string, Alert>()
        const ended = new Map<string, Alert>()
        let time = now
        const show = () => queue.update([...truth.values(), ...ended.values()], time)
        for (const one of events) {
          time += 1
          if (one.what === 'flip' && 'builder' in one) {
            const firing = truth.get(one.builder)
            truth.delete(one.builder)
            ended.delete(one.builder)
            if (firing)
              ended.set(one.builder, { ...firing, state: 'resolved', endsAt: time })
            else truth.set(one.builder, alertOf(one.builder, { startsAt: time }))
            show()
          } else if (one.what === 'forget') {
            ended.clear()
            show()
          } else if (one.what === 'restart') {
            const kept: unknown = JSON.parse(JSON.stringify(queue.serialize()))
            queue = createWebhookQueue(4, kept)
            show()
          } else {
            const batch = queue.next(time)
            if (!batch) continue
            const isRefused = one.what === 'refused'
            if (!isRefused) receiver.hear(batch.changed)
            else
              for (const { fingerprint, state } of batch.changed)
                if (state === 'resolved') receiver.firing.delete(fingerprint)
            queue.recordResult(batch, isRefused, time)
          }
        }
        // It takes everything from now on, and hours later even what it refused
        for (let i = 0; i < 200; i++) {
          time += 3600
          const batch = queue.next(time)
          if (!batch) continue
          receiver.hear(batch.changed)
          queue.recordResult(batch, false, time)
        }
        const known = [...receiver.firing].sort()
        const wanted = [...truth.values()]
          .map(({ fingerprint, startsAt }) => [fingerprint, startsAt])
          .sort()
        if (JSON.stringify(known) !== JSON.stringify(wanted))
          throw new Error(
            `it knows ${JSON.stringify(known)} of ${JSON.stringify(wanted)}`,
          )
      }),
      { numRuns: 500 },
    )
  },
)

void t.test('what was kept may be anything', async () => {
  fc.assert(
    fc.property(fc.jsonValue(), kept => {
      const queue = createWebhookQueue(4, kept)
      queue.update([alertOf('b1')], now)
      queue.next(now)
    }),
  )
})
