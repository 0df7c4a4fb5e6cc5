import { reasonOf } from '../diagnosis/kinds.ts'
import { notesOf, type Note } from '../diagnosis/notes.ts'
import type { Log } from '../log.ts'
import { probeNames, type BuilderState, type Snapshot, type View } from '../model.ts'
import type { Exporter } from './exporter.ts'

/** One line in the log for each change of a verdict, for what else comes up, and at level debug for each attempt. */
export const createVerdictLog = (log: Log): Exporter => ({
  name: 'verdict log',
  start: (view: View) => view.subscribe(logChanges(log)),
})

const logChanges = (log: Log) => {
  let before: ReadonlyMap<string, BuilderState> = new Map()
  return ({ builders, at }: Snapshot) => {
    for (const [name, state] of builders) {
      if (before.get(name) === state) continue
      logNews(log, before.get(name), state, at)
      logAttempts(log, before.get(name), state)
      const { verdict } = state
      const old = before.get(name)?.verdict
      if (old?.state === verdict.state || (!old && verdict.state === 'unknown')) continue
      const fields = {
        builder: name,
        state: verdict.state,
        was: old?.state ?? 'unknown',
        ...(verdict.cause
          ? {
              kind: verdict.cause.kind,
              probe: verdict.cause.probe,
              reason: reasonOf(verdict.cause.kind, verdict.cause.params),
            }
          : {}),
      }
      if (verdict.state === 'down') log.warn(fields, 'verdict changed')
      else log.info(fields, 'verdict changed')
    }
    before = builders
  }
}

/** What is worth knowing, once when it comes up. */
const logNews = (
  log: Log,
  before: BuilderState | undefined,
  state: BuilderState,
  now: number,
): void => {
  const known = new Set(before ? notesOf(before, now).map(keyOf) : [])
  for (const note of notesOf(state, now)) {
    if (known.has(keyOf(note))) continue
    const { kind, params } = note
    log.info(
      { builder: state.builder.name, kind, reason: reasonOf(kind, params) },
      'noted',
    )
  }
}

/** Each new attempt, for level debug. */
const logAttempts = (
  log: Log,
  before: BuilderState | undefined,
  { builder, probes }: BuilderState,
): void => {
  for (const probe of probeNames) {
    const last = probes[probe]?.last
    if (!last || last === before?.probes[probe]?.last) continue
    const { outcome, durationSeconds } = last
    log.debug(
      {
        builder: builder.name,
        probe,
        status: outcome.status,
        ...('kind' in outcome ? { kind: outcome.kind } : {}),
        durationMs: Math.round(durationSeconds * 1000),
      },
      'attempt',
    )
  }
}

/** Only a restart is news each time; a clock that is off by another second is not. */
const keyOf = ({ kind, params }: Note): string =>
  kind === 'rebooted' ? `${kind} ${params['detail']}` : kind
