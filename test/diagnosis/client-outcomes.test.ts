import t from 'tap'
import { clientOutcomes } from '../../src/diagnosis/client-outcomes.ts'
import {
  clientChecks,
  type BuilderState,
  type ClientState,
  type Outcome,
  type ProbeName,
  type Snapshot,
} from '../../src/model/index.ts'
import { aBuilder, aResult, ok } from '../support/builders.ts'

const client: ClientState = {
  at: 0,
  checks: Object.fromEntries(
    clientChecks.filter(name => name !== 'canary').map(name => [name, { status: 'ok' }]),
  ) as ClientState['checks'],
}
const snapshot = (probe: ProbeName, outcome: Outcome) =>
  ({
    problems: [],
    client,
    builders: new Map([
      [
        'b1',
        {
          builder: aBuilder(),
          probes: { [probe]: { last: aResult(probe, outcome) } },
        } as Partial<BuilderState> as BuilderState,
      ],
    ]),
  }) satisfies Pick<Snapshot, 'problems' | 'client' | 'builders'>
const skipped = (kind: 'client_offline' | 'client_temp_unusable' | 'not_requested') =>
  ({ status: 'skipped', kind, params: { path: '/tmp' } }) as const

t.test('a canary that this machine cannot prepare is a finding about it', async t => {
  const outcomes = clientOutcomes(snapshot('canary', skipped('client_temp_unusable')))
  t.match(outcomes.canary, { status: 'degraded', kind: 'client_temp_unusable' })
  t.equal(clientOutcomes(snapshot('canary', ok())).canary?.status, 'ok')
  const turnedOff = clientOutcomes(snapshot('canary', skipped('not_requested')))
  t.equal(turnedOff.canary?.status, 'ok')
})

t.test('a login that found no network fails the check of the network', async t => {
  const outcomes = clientOutcomes(snapshot('login', skipped('client_offline')))
  t.match(outcomes.network, { status: 'failed', kind: 'client_offline' })
  t.equal(clientOutcomes(snapshot('login', ok())).network?.status, 'ok')
})
