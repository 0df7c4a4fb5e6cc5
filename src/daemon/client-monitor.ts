import { fixesText, formatMessage, kindFixes } from '../diagnosis/kinds/index.ts'
import { clientOutcomes } from '../diagnosis/client-outcomes.ts'
import type { Monitor } from '../engine/monitor.ts'
import type { Log } from '../log/log.ts'
import type { CronScheduler, Snapshot } from '../model/index.ts'

export interface ClientMonitorDeps {
  readonly monitor: Pick<Monitor, 'checkClient' | 'store'>
  readonly log: Log
  readonly signal: AbortSignal
}

export interface ClientMonitor {
  /** Checks this machine. A request during a check causes one more, so that it sees the newest builders list. */
  check(): void
  /** Checks at the times of a cron expression until the returned function is called. */
  schedule(cron: CronScheduler, expression: string): () => void
}

/** Checks whether this machine can send builds, and logs when that changes. */
export const createClientMonitor = (deps: ClientMonitorDeps): ClientMonitor => {
  const { monitor, log, signal } = deps
  let isRunning = false
  let isRequested = false
  let wasReady = true
  const checkOnce = async () => {
    try {
      await monitor.checkClient(signal)
      if (!signal.aborted) wasReady = logReadiness(monitor.store.read(), wasReady, log)
    } catch (error) {
      log.error({ err: error }, 'client check failed')
    }
  }
  const run = async () => {
    isRunning = true
    while (isRequested && !signal.aborted) {
      isRequested = false
      await checkOnce()
    }
    isRunning = false
  }
  const check = () => {
    isRequested = true
    if (!isRunning) void run()
  }
  return {
    check,
    schedule: (cron, expression) => {
      const stop = cron.every(expression, 'client', check)
      return () => {
        stop()
        void cron.stop()
      }
    },
  }
}

/** Logs a change of readiness. Returns whether this machine can send builds. */
const logReadiness = (snapshot: Snapshot, wasReady: boolean, log: Log): boolean => {
  for (const [check, outcome] of Object.entries(clientOutcomes(snapshot))) {
    if (outcome.status !== 'failed') continue
    const { kind, params } = outcome
    if (wasReady)
      log.warn(
        {
          check,
          kind,
          reason: formatMessage(kind, params),
          fix: fixesText(kindFixes(kind, params)),
        },
        'this machine cannot send builds',
      )
    return false
  }
  if (!wasReady) log.info({}, 'this machine can send builds again')
  return true
}
