import type {
  Builder,
  Outcome,
  ProbeContext,
  ProbeName,
  Result,
  TelemetryProbe,
} from '../model/index.ts'
import { builderParams } from '../diagnosis/params.ts'
import { readTelemetry, telemetryTimeoutMs } from '../probes/telemetry/telemetry.ts'
import { attempt, withParams } from './attempt.ts'

/** Runs all due fragments in one attempt. Each probe gets its own result, with the duration of the whole attempt. */
export const checkTelemetryBatch = async (
  builder: Builder,
  due: readonly TelemetryProbe<ProbeName>[],
  context: ProbeContext,
): Promise<readonly Result[]> => {
  const params = builderParams(builder)
  let outcomes: ReadonlyMap<ProbeName, Outcome> = new Map()
  const batch = await attempt<null>({
    probe: due[0]!.name,
    timeoutMs: telemetryTimeoutMs,
    params,
    clock: context.clock,
    signal: context.signal,
    run: async deadline => {
      outcomes = await readTelemetry(due, { ...context, signal: deadline })
      return { status: 'ok', value: null }
    },
  })
  return due.map(({ name }) => ({
    ...batch,
    probe: name,
    outcome: withParams(outcomes.get(name) ?? batch.outcome, params),
  }))
}
