import { builderReport } from '../../diagnosis/report.ts'
import { worstState } from '../../diagnosis/diagnose.ts'
import type { BuilderState, Snapshot, View } from '../../model/index.ts'
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
  let sent: ReadonlyMap<string, BuilderState> = new Map()
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
    const nextSent = new Map(sent)
    for (const [name, state] of snapshot.builders) {
      if (sent.get(name) === state) continue
      // Continue here when the stream is writable again
      if (stream.isPaused) break
      stream.send({ event: 'builder', id, data: builderReport(state, snapshot.at) })
      nextSent.set(name, state)
    }
    for (const name of sent.keys()) {
      if (snapshot.builders.has(name) || stream.isPaused) continue
      stream.send({ event: 'removed', id, data: { name } })
      nextSent.delete(name)
    }
    sent = nextSent
  }
  const unsubscribe = view.subscribe(() => {
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
