/** Which releases have known holes. */
import t from 'tap'
import { advisoriesFor, determinateVersion } from '../../src/nix/advisories.ts'

const daemonHole = 'GHSA-vh5x-56v6-4368'
const idsOf = (...args: Parameters<typeof advisoriesFor>) =>
  advisoriesFor(...args).map(({ id }) => id)

t.test('a release is fixed in its own branch, or after the last one', async t => {
  for (const fixed of [
    '2.35.3',
    '2.34.9',
    '2.34.10',
    '2.31.6',
    '2.30.6',
    '2.28.8',
    '2.36.0',
    '3.0.0',
  ])
    t.same(idsOf(fixed), [], fixed)
  for (const open of [
    '2.35.2',
    '2.34.8',
    '2.33.9',
    '2.32.99',
    '2.31.5',
    '2.29.9',
    '2.28.7',
    '2.8.0',
  ])
    t.ok(idsOf(open).includes(daemonHole), open)
  t.same(idsOf('2.34.4').length, 2, 'older releases have both')
  t.same(idsOf('2.8.0'), [daemonHole], 'a release before the other hole')
  t.same(idsOf(null), [], 'an unknown version')
})

t.test('Lix and Determinate Nix have their own releases', async t => {
  t.same(idsOf('2.95.4'), [])
  t.same(idsOf('2.96.0'), [])
  t.same(idsOf('2.95.3'), [daemonHole])
  t.same(idsOf('2.93.3'), [daemonHole])
  t.equal(determinateVersion('nix (Determinate Nix 3.23.1) 2.34.0'), '3.23.1')
  t.equal(determinateVersion('nix (Nix) 2.34.0'), null)
  t.same(idsOf('2.34.0', '3.23.2'), [])
  t.same(idsOf('2.34.0', '3.23.1'), [daemonHole])
})
