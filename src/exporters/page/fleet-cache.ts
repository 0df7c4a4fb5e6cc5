import { byUrgency } from '../../diagnosis/headline.ts'
import {
  builderReport,
  createReport,
  type BuilderReport,
  type Report,
} from '../../diagnosis/report.ts'
import type { BuilderState, Snapshot } from '../../model/index.ts'
import type { Html } from './html.ts'
import { builderRow, rowTimes, type RowContext } from './row.ts'

/** The report of a moment, with its builders in the order of the page. */
export interface FleetReport {
  readonly report: Report
  readonly builders: readonly BuilderReport[]
}

/**
 * What all addresses share: builders are immutable, so the report and the row of a builder are created again only when it
 * has changed, or when the passing time changes what they say.
 */
export interface FleetCache {
  /** `now` in Unix seconds. */
  report(snapshot: Snapshot, now: number): FleetReport
  row(report: BuilderReport, state: BuilderState, context: RowContext): Html
  /** Returns the result of `render` for this snapshot and second. `name` distinguishes several of them. */
  once<T>(name: string, snapshot: Snapshot, now: number, render: () => T): T
}

/** Notices are about days: an expiring certificate, a reboot. */
const noticesSeconds = 60

export const createFleetCache = (): FleetCache => {
  const reports = new WeakMap<
    BuilderState,
    { readonly minute: number; readonly report: BuilderReport }
  >()
  const rows = new WeakMap<
    BuilderState,
    {
      readonly report: BuilderReport
      readonly intervals: RowContext['intervals']
      readonly times: string
      readonly row: Html
    }
  >()
  const results = new Map<string, unknown>()
  let current: Snapshot | null = null
  let second = 0

  const cachedReport = (state: BuilderState, now: number): BuilderReport => {
    const known = reports.get(state)
    const minute = Math.floor(now / noticesSeconds)
    if (known?.minute === minute) return known.report
    const created = builderReport(state, now)
    // The same object as long as nothing else changed, so that its row stays
    const isSame =
      known && JSON.stringify(known.report.notices) === JSON.stringify(created.notices)
    const report = isSame ? known.report : created
    reports.set(state, { minute, report })
    return report
  }

  const cache: FleetCache = {
    once: (name, snapshot, now, render) => {
      if (snapshot !== current || Math.floor(now) !== second) results.clear()
      current = snapshot
      second = Math.floor(now)
      if (!results.has(name)) results.set(name, render())
      // The name stands for one type
      return results.get(name) as ReturnType<typeof render>
    },
    report: (snapshot, now) =>
      cache.once('report', snapshot, now, () => {
        const report = createReport(snapshot, undefined, cachedReport)
        return { report, builders: report.builders.toSorted(byUrgency) }
      }),
    row: (report, state, context) => {
      const { intervals } = context
      const times = rowTimes(state, context)
      const known = rows.get(state)
      if (
        known?.report === report &&
        known.intervals === intervals &&
        known.times === times
      )
        return known.row
      const row = builderRow(report, state, context)
      rows.set(state, { report, intervals, times, row })
      return row
    },
  }
  return cache
}
