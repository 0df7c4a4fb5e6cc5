import t from 'tap'
import fc from 'fast-check'
import { createWebhookQueue } from '../../../src/alerts/delivery/webhook-queue.ts'
import type { Alert } from '../../../src/model/index.ts'
import { alertOf, now } from '../../exporters/fixture.ts'

/** A receiver that keeps a list. Throws on an end without a start and on a second start. */
const createListener = () => {
  const firing = new Map<string, number | null>()
  return {
    firing,
    accept: (changed: readonly Alert[]) => {
      for (const { fingerprint, state, startsAt } of changed) {
        if (state === 'resolved') {
          if (firing.get(fingerprint) !== startsAt)
            throw new Error('resolved without firing')
          firing.delete(fingerprint)
        } else {
          if (firing.has(fingerprint)) throw new Error('firing twice')
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
  fc.record({ what: fc.constantFrom('forget', 'restart', 'delivered', 'rejected') }),
)

void t.test(
  'sends each firing alert once and before its end, for any failures',
  async () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 80 }), events => {
        let queue = createWebhookQueue(4)
        const receiver = createListener()
        const truth = new Map<string, Alert>()
        const ended = new Map<string, Alert>()
        let time = now
        const show = () => queue.update([...truth.values(), ...ended.values()], time)
        for (const event of events) {
          time += 1
          if (event.what === 'flip' && 'builder' in event) {
            const firing = truth.get(event.builder)
            truth.delete(event.builder)
            ended.delete(event.builder)
            if (firing)
              ended.set(event.builder, { ...firing, state: 'resolved', endsAt: time })
            else truth.set(event.builder, alertOf(event.builder, { startsAt: time }))
            show()
          } else if (event.what === 'forget') {
            ended.clear()
            show()
          } else if (event.what === 'restart') {
            const persisted: unknown = JSON.parse(JSON.stringify(queue.serialize()))
            queue = createWebhookQueue(4, persisted)
            show()
          } else {
            const batch = queue.next(time)
            if (!batch) continue
            const isRejected = event.what === 'rejected'
            if (!isRejected) receiver.accept(batch.changed)
            else
              for (const { fingerprint, state } of batch.changed)
                if (state === 'resolved') receiver.firing.delete(fingerprint)
            queue.recordResult(batch, isRejected, time)
          }
        }
        // Now it accepts everything; after hours also the rejected alerts
        for (let i = 0; i < 200; i++) {
          time += 3600
          const batch = queue.next(time)
          if (!batch) continue
          receiver.accept(batch.changed)
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

void t.test('accepts any persisted JSON', async () => {
  fc.assert(
    fc.property(fc.jsonValue(), persisted => {
      const queue = createWebhookQueue(4, persisted)
      queue.update([alertOf('b1')], now)
      queue.next(now)
    }),
  )
})
