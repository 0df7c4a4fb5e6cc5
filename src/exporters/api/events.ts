import { builderReport } from '../../diagnosis/report.ts'
import { worstState } from '../../diagnosis/diagnose.ts'
import type { Snapshot, View } from '../../model/index.ts'
import {
  createEventStreams,
  type EventStream,
  type Subscriber,
} from '../http/server-sent-events.ts'
import type { Exporter } from '../exporter.ts'

const maxStreams = 100
const paceMs = 250

/**
 * Serves GET /api/v1/events as server-sent events: first `fleet` and a `builder` event per builder, then the same events
 * on change, and `removed` for a builder that left the configuration. Event ids are snapshot versions. A client that
 * reconnects gets everything again.
 */
export const createEventsExporter = (): Exporter => ({
  name: 'events',
  routes: view => {
    const { open } = createEventStreams(maxStreams)
    return [
      {
        method: 'GET',
        path: '/api/v1/events',
        handle: () => open(stream => subscribe(view, stream)),
      },
    ]
  },
})

const subscribe = (view: View, stream: EventStream): Subscriber => {
  /** Names of builders that changed since they were sent. */
  const unsent = new Set(view.read().builders.keys())
  let sentFleet = ''
  let due: NodeJS.Timeout | null = null
  const flush = () => {
    const snapshot = view.read()
    const id = String(snapshot.version)
    if (stream.isPaused) return
    const fleetSummary = summarizeFleet(snapshot)
    if (JSON.stringify(fleetSummary) !== sentFleet)
      stream.send({ event: 'fleet', id, data: fleetSummary })
    sentFleet = JSON.stringify(fleetSummary)
    for (const name of unsent) {
      // Continue here when the stream is writable again
      if (stream.isPaused) break
      unsent.delete(name)
      const state = snapshot.builders.get(name)
      stream.send(
        state
          ? { event: 'builder', id, data: builderReport(state, snapshot.at) }
          : { event: 'removed', id, data: { name } },
      )
    }
  }
  const unsubscribe = view.subscribe((_, change) => {
    for (const name of change.builders) unsent.add(name)
    due ??= setTimeout(() => {
      due = null
      flush()
    }, paceMs)
  })
  return {
    flush,
    end: () => {
      unsubscribe()
      if (due) clearTimeout(due)
    },
  }
}

const summarizeFleet = ({ builders, monitor, problems, quarantine }: Snapshot) => {
  const states = [...builders.values()].map(({ health }) => health.state)
  return {
    state: problems.some(({ isFatal }) => isFatal) ? 'down' : worstState(states),
    builders: states.length,
    ready: monitor.ready,
    selfCheckFailed: monitor.selfCheckFailed,
    ...(quarantine ? { quarantine } : {}),
  }
}
