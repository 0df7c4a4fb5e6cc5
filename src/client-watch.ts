import type { Log } from './log.ts'
import type { ActiveBuilders, HostKeySeen, Snapshot, Timetable } from './model.ts'
import { hintOf, reasonOf } from './diagnosis/kinds.ts'
import { clientOutcomes } from './diagnosis/report.ts'
import type { LookAtClient } from './probes/client/look.ts'
import { lastValue, type Store } from './state/store.ts'

export interface ClientWatchDeps {
  readonly look: LookAtClient
  readonly store: Store
  readonly active: () => ActiveBuilders
  readonly log: Log
  readonly signal: AbortSignal
}

/** The host keys that the newest good logins saw, by builder. */
export const hostKeysOf = ({ builders }: Snapshot): ReadonlyMap<string, HostKeySeen> =>
  new Map(
    [...builders].flatMap(([name, state]): [string, HostKeySeen][] => {
      const seen = lastValue(state, 'login')?.hostKey
      return seen ? [[name, seen]] : []
    }),
  )

/** Looks at this machine itself: now and then by the timetable, and whenever it is asked to. Never two looks at once. */
export const createClientWatch = (deps: ClientWatchDeps) => {
  let running: Promise<void> | null = null
  let wasReady = true
  const once = async () => {
    try {
      const client = await deps.look(
        deps.active(),
        deps.signal,
        Promise.resolve(hostKeysOf(deps.store.read())),
      )
      if (deps.signal.aborted) return
      deps.store.client(client)
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
              reason: reasonOf(outcome.kind, outcome.params),
              hint: hintOf(outcome.kind, outcome.params),
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
  const look = () => {
    running ??= once().finally(() => (running = null))
  }
  return {
    look,
    /** The returned function ends it. */
    follow: (timetable: Timetable, cron: string): (() => void) => {
      const end = timetable.every(cron, 'client', look)
      return () => {
        end()
        void timetable.stop()
      }
    },
  }
}
