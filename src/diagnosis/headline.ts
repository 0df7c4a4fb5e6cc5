import type { Snapshot, State } from '../model/index.ts'
import { formatDuration } from '../text/duration.ts'
import { urgency, worstState } from './diagnose.ts'
import { isKeptAway } from './out-of-service.ts'
import type { BuilderReport, CauseReport, Report } from './report.ts'

/** Returns the worst state of all builders; unknown without builders. */
export const fleetState = ({ builders }: Snapshot): State => {
  const states = [...builders.values()].map(({ health }) => health.state)
  return states.length > 0 ? worstState(states) : 'unknown'
}

/** One symbol per state, so that states differ without color. */
export const stateSymbols: Readonly<Record<State, string>> = {
  healthy: '✔',
  degraded: '▲',
  down: '✘',
  unknown: '?',
  asleep: '☾',
  drained: '–',
}

/** Compares builders by urgency, then by name. */
export const byUrgency = (a: BuilderReport, b: BuilderReport): number =>
  urgency.indexOf(a.state) - urgency.indexOf(b.state) || a.name.localeCompare(b.name)

/** How many builders are available, and the most urgent cause. */
export interface Headline {
  /** Without a full stop, because `since` may follow. */
  readonly text: string
  /** Unix seconds. */
  readonly since: number | null
}

/** Summarizes the report. `describeCause` returns the text for the most urgent cause, its kind by default. */
export const createHeadline = (
  report: Pick<Report, 'builders' | 'sharedCauses' | 'problems'>,
  isReady: boolean,
  describeCause = ({ kind }: CauseReport): string => kind.replaceAll('_', ' '),
): Headline => {
  const builders = report.builders.toSorted(byUrgency)
  const count = builders.length
  if (count === 0 && report.problems.some(({ isFatal }) => isFatal))
    return {
      text: 'The builders list is malformed, so no build can start on this machine',
      since: null,
    }
  if (count === 0) return { text: 'No builders are configured', since: null }
  const noun = count === 1 ? 'builder' : 'builders'
  if (!isReady && builders.every(({ probes }) => !probes.login))
    return { text: `First check of ${count} ${noun} is running`, since: null }
  const available = builders.filter(
    ({ state, hold }) =>
      (state === 'healthy' || state === 'degraded') && !isKeptAway(hold),
  ).length
  const drained = builders.filter(({ state }) => state === 'drained').length
  const quarantined = builders.filter(
    ({ quarantine, hold }) => quarantine && isKeptAway(hold),
  ).length
  const first = [
    `${available} of ${count} ${noun} available`,
    ...(drained > 0 ? [`${drained} drained`] : []),
    ...(quarantined > 0 ? [`${quarantined} quarantined`] : []),
  ].join(', ')
  const worst = builders.find(({ cause }) => cause !== null)
  if (!worst?.cause) return { text: first, since: null }
  const shared = report.sharedCauses.find(({ builders }) => builders.includes(worst.name))
  const subject = shared
    ? `${shared.builders.length} affected by ${shared.scope}`
    : worst.name
  return {
    text: `${first}. ${subject}: ${describeCause(worst.cause)}`,
    since: worst.since,
  }
}

/** Returns the headline as one line of text. `now` is in Unix seconds. */
export const formatHeadline = ({ text, since }: Headline, now: number): string =>
  `${text}${since === null ? '' : `, for ${formatDuration(now - since)}`}.`
