import { setImmediate } from 'node:timers/promises'
import t from 'tap'
import { createHeldSlots } from '../../../src/quarantine/holder/held-slots.ts'
import type { HeldLock } from '../../../src/quarantine/holder/lock-file.ts'

/** Locks that the test gives, one at a time, and that it can take away. */
const scripted = () => {
  const requests = new Map<
    string,
    {
      give: (isCurrent?: boolean) => void
      refuse: (reason: string) => void
      wait: () => void
    }
  >()
  const released: string[] = []
  const lock = (name: string, signal: AbortSignal, onWaiting: () => void) =>
    new Promise<HeldLock>((resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason as Error))
      requests.set(name, {
        wait: onWaiting,
        refuse: reason => reject(new Error(reason)),
        give: (isCurrent = true) =>
          resolve({
            isCurrent: async () => isCurrent,
            release: async () => void released.push(name),
          }),
      })
    })
  return { lock, requests, released }
}

t.test('free slots are held at once, used ones when their build ends', async t => {
  const { lock, requests, released } = scripted()
  let changes = 0
  const slots = createHeldSlots({ lock, onChange: () => changes++ })
  slots.hold(['a-0', 'a-1'])
  requests.get('a-0')!.give()
  requests.get('a-1')!.wait()
  await setImmediate()
  t.same(slots.status(), { held: ['a-0'], waiting: ['a-1'], refused: {} })
  requests.get('a-1')!.give()
  await setImmediate()
  t.same(slots.status().held, ['a-0', 'a-1'])
  t.ok(changes >= 3)
  slots.hold(['a-1', 'a-2'])
  t.same(released, ['a-0'])
  await slots.releaseAll()
  t.same(slots.status(), { held: [], waiting: [], refused: {} })
  t.same(released, ['a-0', 'a-1'])
})

t.test('a lock that arrives after its release is given back', async t => {
  const { requests, released } = scripted()
  let give: (held: HeldLock) => void = () => undefined
  const slots = createHeldSlots({
    lock: () => new Promise(resolve => (give = resolve)),
    onChange: () => undefined,
  })
  slots.hold(['a-0'])
  slots.hold([])
  give({ isCurrent: async () => true, release: async () => void released.push('a-0') })
  await slots.releaseAll()
  t.same(released, ['a-0'])
  t.equal(requests.size, 0)
})

t.test('a refused slot is tried again with the next request', async t => {
  const { lock, requests } = scripted()
  const slots = createHeldSlots({ lock, onChange: () => undefined })
  slots.hold(['a-0'])
  requests.get('a-0')!.refuse('belongs to user 5')
  await setImmediate()
  t.same(slots.status().refused, { 'a-0': 'belongs to user 5' })
  slots.hold(['a-0'])
  requests.get('a-0')!.give()
  await setImmediate()
  t.same(slots.status(), { held: ['a-0'], waiting: [], refused: {} })
})

t.test('a lock whose file was deleted is taken again', async t => {
  const { lock, requests, released } = scripted()
  const slots = createHeldSlots({ lock, onChange: () => undefined })
  slots.hold(['a-0'])
  requests.get('a-0')!.give(false)
  await setImmediate()
  slots.hold(['a-0'])
  await setImmediate()
  await setImmediate()
  t.same(released, ['a-0'])
  requests.get('a-0')!.give()
  await setImmediate()
  t.same(slots.status().held, ['a-0'])
})

t.test('at most eight are tried at a time; waiting ones do not count', async t => {
  const { lock, requests } = scripted()
  const slots = createHeldSlots({ lock, onChange: () => undefined })
  slots.hold(Array.from({ length: 500 }, (_, i) => `a-${i}`))
  t.equal(requests.size, 8)
  requests.get('a-0')!.wait()
  t.equal(requests.size, 9)
  for (const request of requests.values()) request.give()
  await setImmediate()
  t.ok(slots.status().held.length >= 9)
})
