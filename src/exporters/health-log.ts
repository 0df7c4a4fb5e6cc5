import { formatMessage } from '../diagnosis/kinds/index.ts'
import { collectNotices, type Notice } from '../diagnosis/notices.ts'
import type { Log } from '../log/log.ts'
import {
  probeNames,
  type BuilderState,
  type ProbeName,
  type SnapshotListener,
  type View,
} from '../model/index.ts'
import type { Exporter } from './exporter.ts'

/** Logs each change of health and each new notice, and at level debug each attempt. */
export const createHealthLog = (log: Log): Exporter => ({
  name: 'health log',
  start: (view: View) => view.subscribe(logChanges(log)),
})

const logChanges = (log: Log): SnapshotListener => {
  let last: ReadonlyMap<string, BuilderState> = new Map()
  /** Keys of the notices of each builder that were logged. */
  const noticed = new Map<string, ReadonlySet<string>>()
  return ({ builders, at }, change) => {
    const previous = last
    last = builders
    for (const name of change.builders) {
      const state = builders.get(name)
      if (!state) noticed.delete(name)
      if (!state || previous.get(name) === state) continue
      if (mayHaveNotices(previous.get(name), state))
        noticed.set(name, logNotices(log, noticed.get(name), state, at))
      logAttempts(log, previous.get(name), state)
      const { health } = state
      const old = previous.get(name)?.health
      if (old?.state === health.state || (!old && health.state === 'unknown')) continue
      const fields = {
        builder: name,
        state: health.state,
        previousState: old?.state ?? 'unknown',
        ...(health.cause
          ? {
              kind: health.cause.kind,
              probe: health.cause.probe,
              reason: formatMessage(health.cause.kind, health.cause.params),
            }
          : {}),
      }
      if (health.state === 'down') log.warn(fields, 'health changed')
      else log.info(fields, 'health changed')
    }
  }
}

/** Most results are measurements that say nothing new about a builder. */
const mayHaveNotices = (previous: BuilderState | undefined, state: BuilderState) =>
  probesOfNotices.some(name => previous?.probes[name]?.last !== state.probes[name]?.last)

const probesOfNotices = [
  'login',
  'trust',
  'system',
  'sessions',
  'substituters',
] as const satisfies readonly ProbeName[]

/** Logs each notice once when it appears. Returns their keys. */
const logNotices = (
  log: Log,
  known: ReadonlySet<string> | undefined,
  state: BuilderState,
  now: number,
): ReadonlySet<string> => {
  const notices = collectNotices(state, now)
  for (const note of notices) {
    if (known?.has(noticeKey(note))) continue
    const { kind, params } = note
    log.info(
      { builder: state.builder.name, kind, reason: formatMessage(kind, params) },
      'notice',
    )
  }
  return new Set(notices.map(noticeKey))
}

const logAttempts = (
  log: Log,
  previous: BuilderState | undefined,
  { builder, probes }: BuilderState,
): void => {
  for (const probe of probeNames) {
    const last = probes[probe]?.last
    if (!last || last === previous?.probes[probe]?.last) continue
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

/** Each reboot is a new notice; a changed clock offset is not. */
const noticeKey = ({ kind, params }: Notice): string =>
  kind === 'rebooted' ? `${kind} ${params['detail']}` : kind
