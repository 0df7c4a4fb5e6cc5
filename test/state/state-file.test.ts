/** The state file keeps state over a restart; a broken file is reported and replaced. */
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { nextHealth, type HealthContext } from '../../src/diagnosis/health.ts'
import { silentLog, type Log } from '../../src/log/log.ts'
import { probeNames, type ProbeName } from '../../src/model/index.ts'
import { parseBuilders, serializeBuilders } from '../../src/state/persisted-builders.ts'
import { openStateFile } from '../../src/state/state-file.ts'
import { createStore, type EvaluateHealth } from '../../src/state/store.ts'
import { aBuilder, aResult, ok } from '../support/builders.ts'

const collectWarnings = () => {
  const warnings: string[] = []
  const log: Log = {
    ...silentLog,
    warn: (_, message) => void warnings.push(message),
    child: () => log,
  }
  return { log, warnings }
}

t.test('keeps written sections over a restart', async t => {
  const directory = t.testdir()
  const first = await openStateFile({ directory, log: silentLog })
  t.equal(first.read('builders'), undefined)
  first.write('builders', () => [{ a: 1 }])
  first.write('builders', () => [{ a: 2 }])
  first.write('alerts', () => 'x', true)
  await first.flush()
  const second = await openStateFile({ directory, log: silentLog })
  t.same(second.read('builders'), [{ a: 2 }])
  second.write('alerts', () => 'y')
  await second.flush()
  const third = await openStateFile({ directory, log: silentLog })
  t.same([third.read('builders'), third.read('alerts')], [[{ a: 2 }], 'y'])
})

t.test('renames and reports a file that cannot be parsed', async t => {
  const broken = [
    '',
    '{',
    'null',
    '[]',
    '{"version":9,"sections":{}}',
    '{"version":1,"sections":3}',
  ]
  for (const text of broken) {
    const directory = t.testdir({ 'state.json': text })
    const { log, warnings } = collectWarnings()
    const states: boolean[] = []
    const file = await openStateFile({ directory, log })
    file.watch(works => states.push(works))
    t.same(states, [false], text)
    t.match(warnings, ['cannot read the state file, starting a new one'])
    t.equal(readFileSync(join(directory, 'state.json.bad'), 'utf8'), text)
    file.write('builders', () => 1)
    await file.flush()
    t.same(states, [false, true], 'a new file works')
  }
})

t.test('reports a directory that is not writable once', async t => {
  const directory = t.testdir({})
  // A directory in place of the draft, because root can write everywhere
  const { log, warnings } = collectWarnings()
  const file = await openStateFile({ directory, log })
  const draft = join(directory, 'state.json.new')
  mkdirSync(draft)
  const states: boolean[] = []
  file.watch(works => states.push(works))
  for (const value of [1, 2]) {
    file.write('builders', () => value)
    await file.flush()
  }
  t.ok(existsSync(draft))
  t.same(states, [true, false, false])
  t.equal(warnings.length, 1)
  t.match(warnings[0], /cannot write the state file/)
})

const intervals = Object.fromEntries(probeNames.map(name => [name, 60])) as Record<
  ProbeName,
  number
>
const context: HealthContext = {
  now: 0,
  selfCheckFailed: false,
  intervals,
  problems: [],
  expect: 'awake',
  belowMinFreeSeconds: 3600,
}

t.test('a builder that stays down keeps its since time over a restart', async t => {
  let now = 1000
  const evaluateHealth: EvaluateHealth = state => nextHealth(state, { ...context, now })
  const refused = { status: 'failed', kind: 'tcp_refused', params: {} } as const
  const builder = aBuilder()
  const active = {
    source: 'nix' as const,
    builders: [builder],
    problems: [],
    files: [],
    nix: { version: null, system: 'x86_64-linux' },
  }
  const record = (
    store: ReturnType<typeof createStore>,
    outcome: Parameters<typeof aResult>[1],
  ) => {
    now += 10
    store.record(builder, [aResult('login', outcome, now)])
    return store.read().builders.get(builder.name)!
  }
  const before = createStore({
    evaluateHealth,
    now: () => now,
    intervals: context.intervals,
  })
  before.setBuilders(active)
  record(before, refused)
  const { since } = record(before, refused).health
  const persisted: unknown = JSON.parse(JSON.stringify(serializeBuilders(before.read())))

  const restart = (past: unknown, line = builder.line) => {
    const store = createStore({
      evaluateHealth,
      now: () => now,
      intervals: context.intervals,
      persisted: parseBuilders(past),
    })
    store.setBuilders({ ...active, builders: [{ ...builder, line }] })
    return store
  }
  now += 3600
  const after = restart(persisted)
  t.equal(
    after.read().builders.get(builder.name)?.health.state,
    'unknown',
    'the state is unknown before the first login',
  )
  t.equal(after.read().builders.get(builder.name)?.history.login?.length, 2)
  record(after, refused)
  t.match(record(after, refused).health, { state: 'down', since })

  const recovered = restart(persisted)
  record(recovered, ok())
  t.match(record(recovered, ok()).health, { state: 'healthy', since: now - 10 })

  const changed = restart(persisted, 'ssh://another')
  t.equal(
    changed.read().builders.get(builder.name)?.history.login,
    undefined,
    'a changed line has no history',
  )
})

t.test('accepts any persisted JSON', async t => {
  fc.assert(
    fc.property(fc.jsonValue(), value => {
      parseBuilders(value)
      parseBuilders([value])
      const entry = { name: 'b', line: 'x', state: 'down', since: 1 }
      parseBuilders([{ ...entry, past: value }])
      parseBuilders([{ ...entry, past: { login: value, canary: [value, [value]] } }])
    }),
  )
  t.pass()
})
