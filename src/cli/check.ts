import { defaultConfig, loadConfig, type Config } from '../config/config.ts'
import { validationContext } from './validation-context.ts'
import { expectationFor, minMiBPerSecond } from '../daemon/context.ts'
import { currentHealth } from '../diagnosis/health.ts'
import { createReport, type Report } from '../diagnosis/report.ts'
import { checkOnce } from '../engine/check-once.ts'
import { createMonitor } from '../engine/monitor.ts'
import { createSystemPorts } from '../engine/system-ports.ts'
import {
  probeNames,
  type ActiveBuilders,
  type Builder,
  type ProbeName,
  type Run,
} from '../model/index.ts'
import type { CanaryMode } from '../probes/canary/sandbox.ts'
import { systemClock } from '../schedule/clock.ts'
import { createTraces, noTraces, type Traces } from '../state/traces.ts'
import { createRun } from '../transport/run.ts'
import { resolveConfigPath } from './config.ts'
import { exitCodes } from './exit-codes.ts'
import { printErrors, UsageError, type Io } from './terminal.ts'
import { closestMatch } from '../text/closest-match.ts'
import { readLocalBuilders } from '../engine/local-builders.ts'
import { createPaint } from './paint.ts'
import { renderReport } from './render.ts'
import { withTraces } from './traces.ts'

export interface CheckOptions {
  readonly json: boolean
  readonly canary: boolean
  readonly canaryMode: CanaryMode | undefined
  readonly features: boolean
  readonly debug: boolean
  readonly config: string | undefined
  /** Names or store URIs; all builders if empty. */
  readonly builders: readonly string[]
}

/** Probes every selected builder once and prints the report. */
export const checkCommand = async (options: CheckOptions, io: Io): Promise<number> => {
  const { features, json } = options
  const mode = options.canaryMode ?? (features || options.canary ? 'private' : null)
  const { path, isExplicit } = resolveConfigPath(options.config, io.env)
  const loaded = await loadConfig(path, !isExplicit, validationContext)
  if (!loaded.ok && isExplicit) throw new UsageError(loaded.errors.join('\n'))
  // Users who cannot read the daemon's configuration can check with the defaults
  if (!loaded.ok) printErrors([...loaded.errors, 'using defaults'], io)
  const run = createRun()
  const active = await readLocalBuilders(run, io.env, io.signal)
  const selected = selectBuilders(active, options.builders)
  const report = await checkSelected(
    active,
    {
      selected,
      mode,
      features,
      config: loaded.ok ? loaded.config : defaultConfig(validationContext),
      traces: options.debug
        ? createTraces({ clock: systemClock, maxChars: maxTraceChars })
        : noTraces,
    },
    io,
    run,
  )
  io.out(
    json
      ? `${JSON.stringify(report, null, 2)}\n`
      : `${renderReport(report, createPaint(io.isTerminal, io.env))}\n`,
  )
  if (selected.length === 0 && active.problems.length === 0 && !json)
    io.err(
      `Read: ${active.files.join(', ')}\nTo try builder-monitor without builders: builder-monitor demo\n`,
    )
  return exitCodes[report.state]
}

const selectBuilders = (
  active: ActiveBuilders,
  names: readonly string[],
): readonly Builder[] => {
  if (names.length === 0) return active.builders
  return names.map(name => {
    const match = active.builders.find(b => b.name === name || b.storeUri === name)
    if (match) return match
    const all = active.builders.map(b => b.name)
    const suggestion = closestMatch(name, all)
    throw new UsageError(
      `no builder is called ${name}${suggestion ? `, did you mean ${suggestion}?` : ''} (there are: ${all.join(', ') || 'none'})`,
    )
  })
}

interface CheckRun {
  readonly selected: readonly Builder[]
  readonly mode: CanaryMode | null
  readonly features: boolean
  readonly config: Config
  readonly traces: Traces
}

/** Attempts are traced up to this size with `--debug`. */
const maxTraceChars = 128 * 1024

const noIntervals = Object.fromEntries(probeNames.map(name => [name, 0])) as Record<
  ProbeName,
  number
>

/** Checks the selected builders once. Health is not debounced: one failed attempt is the answer. */
const checkSelected = async (
  active: ActiveBuilders,
  options: CheckRun,
  io: Io,
  run: Run,
): Promise<Report> => {
  const { selected, traces, config } = options
  const now = () => systemClock.now() / 1000
  const expect = (name: string) => expectationFor(config, name)
  const monitor = createMonitor({
    createPorts: nix => createSystemPorts({ run, clock: systemClock, env: io.env, nix }),
    env: io.env,
    traces,
    testsFeatures: () => options.features,
    stuckAfterSeconds: () => config.slots.stuckAfterHours * 3600,
    minBytesPerSecond: ({ name }) => minMiBPerSecond(config, name) * 1024 ** 2,
    health: {
      evaluateHealth: (state, { problems }) => ({
        health: currentHealth(state, now(), problems, expect(state.builder.name)),
        changedAt: [],
      }),
      intervals: noIntervals,
    },
  })
  monitor.setBuilders(active)
  await checkOnce(monitor, {
    builders: selected,
    canaryMode: options.mode,
    measuresLink: ({ name }) => minMiBPerSecond(config, name) > 0,
    isDrained: ({ name }) => expect(name) === 'drained',
    signal: io.signal,
  })
  const names = new Set(selected.map(({ name }) => name))
  return withTraces(createReport(monitor.store.read(), names), traces)
}
