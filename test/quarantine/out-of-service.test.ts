/** Slots of builders that get no builds, as people count them: not files. */
import t from 'tap'
import { planOutOfService } from '../../src/quarantine/out-of-service.ts'
import { slotFileNames } from '../../src/nix/machines/lock-names.ts'
import { builderOf, now, stateOf } from '../exporters/fixture.ts'

const holdOf = (
  change: { readonly storeUri?: string; readonly maxJobs?: number },
  version: string | null,
  read: (files: readonly string[]) => {
    readonly held: readonly string[]
    readonly waiting: readonly string[]
  },
) => {
  const builder = builderOf('b1', { maxJobs: 3, ...change })
  const files = slotFileNames(builder.storeUri, builder.maxJobs, version)
  const plan = planOutOfService({
    builders: new Map([['b1', stateOf(builder)]]),
    drains: new Map([['b1', { by: 'root', reason: null, since: now, until: null }]]),
    isDrainedByConfig: () => false,
    mode: 'off',
    holder: { status: 'connected', slots: { refused: {}, ...read(files) } },
    nixVersion: version,
    countByKind: {},
    now,
    isSelfCheckFailing: false,
    makesProgress: () => false,
    canVerify: () => true,
  })
  return { hold: plan.byName.get('b1')?.hold, files: files.length }
}

t.test('counts each slot once, whatever the number of its names', async t => {
  const storeUri = 'ssh-ng://nix@b1?compress=true&max-connections=1'
  for (const version of ['2.34.8', null]) {
    const all = holdOf({ storeUri }, version, held => ({ held, waiting: [] }))
    t.same(all.hold, { held: 3, running: 0, total: 3 }, `Nix ${version}`)
    // A build has the first slot under one of its names
    const busy = holdOf({ storeUri }, version, ([first = '', ...rest]) => ({
      held: rest,
      waiting: [first],
    }))
    t.same(busy.hold, { held: 2, running: 1, total: 3 })
  }
  t.ok(holdOf({}, null, held => ({ held, waiting: [] })).files > 3, 'several names')
})

t.test('more slots than can be held are not held', async t => {
  const { hold } = holdOf({ maxJobs: 5000 }, '2.34.8', () => ({ held: [], waiting: [] }))
  t.match(hold, { held: 0, total: 5000, problem: /more than 4096 slots/ })
  const none = holdOf({ maxJobs: 0 }, '2.34.8', () => ({ held: [], waiting: [] }))
  t.same(none.hold, { held: 0, running: 0, total: 0 })
})
