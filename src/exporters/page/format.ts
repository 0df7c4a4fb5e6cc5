import { worstState } from '../../diagnosis/diagnose.ts'
import type { BuilderReport, Report } from '../../diagnosis/report.ts'
import type { Snapshot, State } from '../../model/index.ts'
import { html, type Html } from './html.ts'

/** Shape and word of a state: colour alone would tell some people nothing. */
export const stateIcons: Readonly<
  Record<State, { readonly icon: string; readonly label: string }>
> = {
  healthy: { icon: '✔', label: 'healthy' },
  degraded: { icon: '▲', label: 'degraded' },
  down: { icon: '✘', label: 'down' },
  unknown: { icon: '?', label: 'unknown' },
  asleep: { icon: '☾', label: 'asleep' },
  drained: { icon: '–', label: 'drained' },
}

/** The worst of all builders; unknown where there are none. */
export const fleetState = ({ builders }: Snapshot): State => {
  const states = [...builders.values()].map(({ health }) => health.state)
  return states.length > 0 ? worstState(states) : 'unknown'
}

/** Most urgent first. */
const urgency: readonly State[] = [
  'down',
  'degraded',
  'unknown',
  'asleep',
  'drained',
  'healthy',
]

export const byUrgency = (a: BuilderReport, b: BuilderReport): number =>
  urgency.indexOf(a.state) - urgency.indexOf(b.state) || a.name.localeCompare(b.name)

/** The one sentence: how many can take work, and what is wrong with the first that cannot, since when. */
export interface Headline {
  /** Without its full stop, for `since` may follow. */
  readonly text: string
  /** Unix seconds. */
  readonly since: number | null
}

export const createHeadline = (
  { builders, sharedCauses }: Pick<Report, 'builders' | 'sharedCauses'>,
  isReady: boolean,
): Headline => {
  const count = builders.length
  if (count === 0) return { text: 'No builders are configured', since: null }
  const noun = count === 1 ? 'builder' : 'builders'
  if (!isReady && builders.every(({ probes }) => !probes.login))
    return { text: `Looking at ${count} ${noun} for the first time`, since: null }
  const available = builders.filter(
    ({ state }) => state === 'healthy' || state === 'degraded',
  ).length
  const worst = builders.find(({ cause }) => cause !== null)
  const first = `${available} of ${count} ${noun} can take work`
  if (!worst?.cause) return { text: first, since: null }
  const what = worst.cause.kind.replaceAll('_', ' ')
  const group = sharedCauses.find(one => one.builders.includes(worst.name))
  const who = group ? `${group.builders.length} hang on ${group.scope}` : worst.name
  return { text: `${first}. ${who}: ${what}`, since: worst.since }
}

/** The headline as plain text; `now` in Unix seconds. */
export const formatHeadline = ({ text, since: at }: Headline, now: number): string =>
  `${text}${at === null ? '' : `, for ${formatDuration(now - at)}`}.`

/** For the title and the tab: the worst, with its count. */
export const createTitle = (
  builders: readonly BuilderReport[],
  isReady: boolean,
): { readonly state: State; readonly text: string } => {
  const state = urgency.find(one => builders.some(builder => builder.state === one))
  if (!state) return { state: 'unknown', text: 'no builders' }
  if (!isReady && state === 'unknown') return { state, text: 'first checks' }
  const count = builders.filter(builder => builder.state === state).length
  const { icon, label } = stateIcons[state]
  const text =
    state === 'healthy' && count === builders.length
      ? `all ${count} healthy`
      : `${count} ${label}`
  return { state, text: `${icon} ${text}` }
}

/** `3 h 12 m`: two units at most. */
export const formatDuration = (seconds: number): string => {
  const total = Math.max(0, Math.floor(seconds))
  const [days, hours, minutes] = [
    Math.floor(total / 86_400),
    Math.floor(total / 3600) % 24,
    Math.floor(total / 60) % 60,
  ] as const
  if (days > 0) return `${days} d ${hours} h`
  if (hours > 0) return `${hours} h ${minutes} m`
  return minutes > 0 ? `${minutes} m` : `${total} s`
}

/**
 * A stretch of time up to now, with the moment it began for machines and for whoever points at it. `say` has `{}` where
 * the stretch goes; with the page's script it goes on by itself.
 */
export const since = (at: number, now: number, template: string): Html => {
  const date = new Date(at * 1000)
  if (Number.isNaN(date.getTime())) return html``
  const iso = `${date.toISOString().slice(0, 19)}Z`
  return html`<time
    datetime="${iso}"
    title="${iso.replace('T', ' ').replace('Z', ' UTC')}"
    data-say="${template}"
    >${template.replace('{}', formatDuration(now - at))}</time
  >`
}

export const formatBytes = (count: number): string => {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']
  let value = Math.max(0, count)
  let unit = 0
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit++
  }
  return `${value >= 10 || unit === 0 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`
}

export const formatElapsed = (seconds: number): string =>
  seconds < 10 ? `${Math.round(seconds * 1000)} ms` : `${seconds.toFixed(1)} s`

export const capitalize = (text: string): string =>
  text.slice(0, 1).toUpperCase() + text.slice(1)
