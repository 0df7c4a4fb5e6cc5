import type { HistoryEntry, History, ProbeName } from '../../model/index.ts'
import { html, raw, type Html } from './html.ts'

/** One bar of a timeline: a login with its trust probe, or a build. */
export interface Bar {
  readonly probe: ProbeName
  readonly status: HistoryEntry['status']
  readonly outcome: 'good' | 'degraded' | 'failed' | 'gap'
  readonly kind: HistoryEntry['kind']
  /** Unix seconds. */
  readonly at: number
  readonly durationSeconds: number
}

const maxBars = 60

/** Returns the newest logins and builds, oldest first. Busy and skipped ones are gaps. */
export const createBars = ({
  login = [],
  trust = [],
  canary = [],
  direct = [],
}: History): readonly Bar[] => {
  // The newest trust attempts belong to the newest logins
  const lead = login.length - trust.length
  const logins = login.map((attempt, i) => worse(attempt, trust[i - lead]))
  return [
    ...logins.map(attempt => createBar('login', attempt)),
    ...canary.map(attempt => createBar('canary', attempt)),
    ...direct.map(attempt => createBar('direct', attempt)),
  ]
    .sort((a, b) => a.at - b.at)
    .slice(-maxBars)
}

const severity = ['ok', 'skipped', 'busy', 'degraded', 'failed'] as const

const worse = (login: HistoryEntry, trust: HistoryEntry | undefined): HistoryEntry =>
  trust && severity.indexOf(trust.status) > severity.indexOf(login.status)
    ? { ...trust, at: login.at, durationSeconds: login.durationSeconds }
    : login

const barOutcomes = {
  ok: 'good',
  degraded: 'degraded',
  failed: 'failed',
  busy: 'gap',
  skipped: 'gap',
} as const

const createBar = (
  probe: ProbeName,
  { status, kind, at, durationSeconds }: HistoryEntry,
): Bar => ({
  probe,
  status,
  outcome: barOutcomes[status],
  kind,
  at,
  durationSeconds,
})

/** Pixels: width of a bar with its gap, height of a failed bar. */
const step = 3
const height = 24

/**
 * Draws the bars, newest at the right. Failed bars are taller and segmented, degraded ones are pointed, so they differ
 * not only in color.
 */
export const timeline = (bars: readonly Bar[], isStale: boolean): Html => {
  const lead = maxBars - bars.length
  const drawn = { good: '', degraded: '', failed: '', gap: '', none: '' }
  for (let i = 0; i < lead; i++) drawn.none += shapes.gap(i * step)
  bars.forEach(({ outcome }, i) => {
    drawn[outcome] += shapes[outcome]((lead + i) * step)
  })
  const paths = Object.entries(drawn).flatMap(([outcome, d]) =>
    d === '' ? [] : [html`<path class="${outcome}" d="${raw(d)}" />`],
  )
  return html`<svg
    class="checks${isStale && raw(' old')}"
    viewBox="0 0 ${maxBars * step - 1} ${height}"
    width="${maxBars * step - 1}"
    height="${height}"
    role="img"
    aria-label="${describeBars(bars)}"
  >
    ${paths}
  </svg>`
}

const shapes: Readonly<Record<Bar['outcome'], (x: number) => string>> = {
  good: x => `M${x} 8h2v16h-2z`,
  degraded: x => `M${x} 24v-17l1-4 1 4v17z`,
  failed: x => `M${x} 0h2v6h-2zM${x} 9h2v6h-2zM${x} 18h2v6h-2z`,
  gap: x => `M${x} 22h2v2h-2z`,
}

const describeBars = (bars: readonly Bar[]): string => {
  const count = (outcome: Bar['outcome']) =>
    bars.filter(bar => bar.outcome === outcome).length
  const parts = [
    `${count('good')} good`,
    count('degraded') > 0 && `${count('degraded')} degraded`,
    count('failed') > 0 && `${count('failed')} failed`,
    count('gap') > 0 && `${count('gap')} busy or skipped`,
  ].filter(part => part !== false)
  return bars.length === 0
    ? 'No attempts yet'
    : `The last ${bars.length} attempts: ${parts.join(', ')}`
}
