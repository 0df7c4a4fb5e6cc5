import { builderReport } from '../diagnosis/report.ts'
import { worstState } from '../diagnosis/diagnose.ts'
import type { BuilderState, Snapshot, View } from '../model.ts'
import { createEventStreams, type EventStream, type Follower } from './event-streams.ts'
import type { Exporter } from './exporter.ts'

const streams = 100
const paceMs = 250

/**
 * GET /api/v1/events: what changes, as it changes. First `fleet` and a `builder` for each builder as it is now, then each
 * again when it has changed, and `gone` for one that has left the configuration. Their ids are versions of the snapshot; who
 * comes back after a break gets everything anew.
 */
export const createEventsExporter = (): Exporter => ({
  name: 'events',
  routes: view => {
    const { open } = createEventStreams(streams)
    return [
      {
        method: 'GET',
        path: '/api/v1/events',
        handle: () => open(stream => follow(view, stream)),
      },
    ]
  },
})

const follow = (view: View, stream: EventStream): Follower => {
  let sent: ReadonlyMap<string, BuilderState> = new Map()
  let fleet = ''
  let due: NodeJS.Timeout | null = null
  const catchUp = () => {
    const snapshot = view.read()
    const id = String(snapshot.version)
    if (stream.isBehind) return
    const now = fleetOf(snapshot)
    if (JSON.stringify(now) !== fleet) stream.send({ event: 'fleet', id, data: now })
    fleet = JSON.stringify(now)
    const told = new Map(sent)
    for (const [name, state] of snapshot.builders) {
      if (sent.get(name) === state) continue
      // What does not go out now is still unsent when there is room again
      if (stream.isBehind) break
      stream.send({ event: 'builder', id, data: builderReport(state, snapshot.at) })
      told.set(name, state)
    }
    for (const name of sent.keys()) {
      if (snapshot.builders.has(name) || stream.isBehind) continue
      stream.send({ event: 'gone', id, data: { name } })
      told.delete(name)
    }
    sent = told
  }
  const unsubscribe = view.subscribe(() => {
    due ??= setTimeout(() => {
      due = null
      catchUp()
    }, paceMs)
  })
  return {
    catchUp,
    end: () => {
      unsubscribe()
      if (due) clearTimeout(due)
    },
  }
}

const fleetOf = ({ builders, monitor, problems }: Snapshot) => {
  const states = [...builders.values()].map(({ verdict }) => verdict.state)
  return {
    state: problems.some(({ stopsBuilds }) => stopsBuilds) ? 'down' : worstState(states),
    builders: states.length,
    ready: monitor.ready,
    suspect: monitor.suspect,
  }
}
