import type { Snapshot, State } from '../model/index.ts'
import { formatDuration } from '../text/duration.ts'
import { urgency, worstState } from './diagnose.ts'
import type { BuilderReport, Report } from './report.ts'

/** Returns the worst state of all builders; unknown without builders. */
export const fleetState = ({ builders }: Snapshot): State => {
  const states = [...builders.values()].map(({ health }) => health.state)
  return states.length > 0 ? worstState(states) : 'unknown'
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

/** Summarizes builders that are sorted by urgency. */
export const createHeadline = (
  { builders, sharedCauses }: Pick<Report, 'builders' | 'sharedCauses'>,
  isReady: boolean,
): Headline => {
  const count = builders.length
  if (count === 0) return { text: 'No builders are configured', since: null }
  const noun = count === 1 ? 'builder' : 'builders'
  if (!isReady && builders.every(({ probes }) => !probes.login))
    return { text: `First check of ${count} ${noun} is running`, since: null }
  const available = builders.filter(
    ({ state }) => state === 'healthy' || state === 'degraded',
  ).length
  const first = `${available} of ${count} ${noun} available`
  const worst = builders.find(({ cause }) => cause !== null)
  if (!worst?.cause) return { text: first, since: null }
  const kind = worst.cause.kind.replaceAll('_', ' ')
  const shared = sharedCauses.find(({ builders }) => builders.includes(worst.name))
  const subject = shared
    ? `${shared.builders.length} affected by ${shared.scope}`
    : worst.name
  return { text: `${first}. ${subject}: ${kind}`, since: worst.since }
}

/** Returns the headline as one line of text. `now` is in Unix seconds. */
export const formatHeadline = ({ text, since }: Headline, now: number): string =>
  `${text}${since === null ? '' : `, for ${formatDuration(now - since)}`}.`
