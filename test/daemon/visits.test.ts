/** What a result costs does not grow with the number of builders: the whole daemon, with everything that follows the store. */
import t, { type Test } from 'tap'
import { defaultConfig } from '../../src/config/config.ts'
import { startDaemon } from '../../src/daemon/daemon.ts'
import { createExporters } from '../../src/exporters/index.ts'
import { createHealthLog } from '../../src/exporters/health-log.ts'
import { silentLog } from '../../src/log/log.ts'
import type { MonitorPorts } from '../../src/engine/system-ports.ts'
import type { Outcome, RunResult } from '../../src/model/index.ts'
import { extractSamples } from '../../src/probes/index.ts'
import { createDemoHolder } from '../../src/quarantine/holder/demo-holder.ts'
import { systemClock } from '../../src/schedule/clock.ts'
import { createCronScheduler } from '../../src/schedule/cron.ts'
import { BuilderStates } from '../../src/state/builder-states.ts'
import { noStateFile } from '../../src/state/state-file.ts'
import { createTraces } from '../../src/state/traces.ts'
import { aBuilder, aResult, listOf, ok } from '../support/builders.ts'

let visits = 0
const count = function* <T>(items: Iterable<T>): Generator<T, undefined> {
  for (const item of items) {
    visits++
    yield item
  }
}
const { values, keys } = BuilderStates.prototype
BuilderStates.prototype.values = function () {
  return count(values.call(this))
}
BuilderStates.prototype.keys = function () {
  return count(keys.call(this))
}

const ended: RunResult = {
  ...{ code: 0, signal: null, stdout: '', stderr: '' },
  ...{ truncated: false, spawnError: null, aborted: false },
}
const never = () => new Promise<never>(() => undefined)
const untilAborted = (_: unknown, signal: AbortSignal) =>
  new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(new Error('aborted')))
  })
/** Nothing answers, so that the only results are those of the test. */
const ports: MonitorPorts = {
  run: never,
  clock: systemClock,
  dial: untilAborted,
  askLocalDaemon: never,
  readSlotLocks: never,
  checkClient: never,
  isOffline: never,
}

const start = async (t: Test, size: number) => {
  const names = Array.from({ length: size }, (_, i) => `b${i}`)
  const builders = names.map(name => aBuilder({ name, line: name, host: name }))
  const config = {
    ...defaultConfig({ validateCron: () => null, alertNames: [] }),
    listen: [],
  }
  const shared = {
    run: () => Promise.resolve(ended),
    env: { NOTIFY_SOCKET: '/nonexistent' },
    clock: systemClock,
    log: silentLog,
  }
  const daemon = await startDaemon(
    { ...config, quarantine: { ...config.quarantine, enable: true } },
    {
      ...shared,
      createHolder: (_, onChange) => createDemoHolder(onChange),
      loadConfig: never,
      readBuilders: () => Promise.resolve(listOf(...builders)),
      createPorts: () => ports,
      createCron: createCronScheduler,
      createOutputs: (config, loginLagSeconds) => ({
        exporters: [
          ...createExporters({
            ...shared,
            ...{ version: '0', pid: 1, config, loginLagSeconds },
            collectSamples: extractSamples,
            readTraces: () => ({}),
            files: () => [],
            alertRunbooks: new Map(),
          }).all,
          createHealthLog(silentLog),
        ],
        delivery: { start: () => () => undefined },
        onDelay: () => undefined,
      }),
      readSamples: () => [],
      sendTestAlert: never,
      stateFile: noStateFile,
      traces: createTraces({ clock: systemClock, maxChars: 100 }),
      controlSocket: null,
    },
  )
  t.teardown(daemon.stop)
  return { daemon, builders }
}

const turn = () => new Promise(resolve => setImmediate(resolve))

/**
 * Returns how many states were read because of one result, until everything that follows the store was called. The fewest of
 * several results, because what happens once a second may happen between them.
 */
const visitsOf = async (t: Test, size: number, outcome: Outcome) => {
  const { daemon, builders } = await start(t, size)
  for (const builder of builders) daemon.store.record(builder, [aResult('login', ok())])
  await turn()
  const counts: number[] = []
  for (const builder of builders.slice(0, 10)) {
    visits = 0
    daemon.store.record(builder, [aResult('canary', outcome)])
    await turn()
    counts.push(visits)
  }
  return Math.min(...counts)
}

for (const [name, outcome] of [
  ['a success', ok()],
  ['a failure', { status: 'failed', kind: 'build_failed', params: {} }],
] as const)
  t.test(name, async t => {
    t.equal(await visitsOf(t, 10, outcome), 0)
    t.equal(await visitsOf(t, 1000, outcome), 0)
  })
