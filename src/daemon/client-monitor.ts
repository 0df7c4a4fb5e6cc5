import type { Log } from '../log/log.ts'
import type {
  ActiveBuilders,
  HostKeyInfo,
  Snapshot,
  CronScheduler,
} from '../model/index.ts'
import { fixesText, kindFixes, formatMessage } from '../diagnosis/kinds/index.ts'
import { clientOutcomes } from '../diagnosis/report.ts'
import type { CheckClient } from '../probes/client/checks.ts'
import { lastValue, type Store } from '../state/store.ts'

export interface ClientMonitorDeps {
  readonly check: CheckClient
  readonly store: Store
  readonly active: () => ActiveBuilders
  readonly log: Log
  readonly signal: AbortSignal
}

/** The host keys that the newest good logins saw, by builder. */
export const hostKeysByBuilder = ({
  builders,
}: Snapshot): ReadonlyMap<string, HostKeyInfo> =>
  new Map(
    [...builders].flatMap(([name, state]): [string, HostKeyInfo][] => {
      const seen = lastValue(state, 'login')?.hostKey
      return seen ? [[name, seen]] : []
    }),
  )

/** Looks at this machine itself: now and then by the timetable, and whenever it is asked to. Never two looks at once. */
export const createClientMonitor = (deps: ClientMonitorDeps) => {
  let running: Promise<void> | null = null
  let wasReady = true
  const checkOnce = async () => {
    try {
      const client = await deps.check(
        deps.active(),
        deps.signal,
        Promise.resolve(hostKeysByBuilder(deps.store.read())),
      )
      if (deps.signal.aborted) return
      deps.store.setClient(client)
      const failed = Object.entries(clientOutcomes(deps.store.read())).find(
        ([, outcome]) => outcome.status === 'failed',
      )
      if (failed && wasReady) {
        const [check, outcome] = failed
        if (outcome.status === 'failed')
          deps.log.warn(
            {
              check,
              kind: outcome.kind,
              reason: formatMessage(outcome.kind, outcome.params),
              fix: fixesText(kindFixes(outcome.kind, outcome.params)),
            },
            'this machine cannot send builds',
          )
      } else if (!failed && !wasReady)
        deps.log.info({}, 'this machine can send builds again')
      wasReady = !failed
    } catch (error) {
      deps.log.error({ err: error }, 'cannot look at this machine')
    }
  }
  const check = () => {
    running ??= checkOnce().finally(() => (running = null))
  }
  return {
    look: check,
    /** The returned function ends it. */
    schedule: (timetable: CronScheduler, cron: string): (() => void) => {
      const end = timetable.every(cron, 'client', check)
      return () => {
        end()
        void timetable.stop()
      }
    },
  }
}
