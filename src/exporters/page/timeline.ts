import type { Check, Past, ProbeName } from '../../model.ts'
import { html, raw, type Html } from './html.ts'

/** One bar of a timeline: a login with the trust question that followed it, or a build. */
export interface Bar {
  readonly probe: ProbeName
  readonly look: 'good' | 'degraded' | 'failed' | 'gap'
  readonly kind: Check['kind']
  /** Unix seconds. */
  readonly at: number
  readonly durationSeconds: number
}

const most = 60

/** The newest checks that say whether a builder takes work, oldest first. Busy and skipped ones are gaps. */
export const barsOf = ({
  login = [],
  trust = [],
  canary = [],
  direct = [],
}: Past): readonly Bar[] => {
  // Each login is recorded together with its trust question
  const lead = login.length - trust.length
  const logins = login.map((check, i) => worse(check, trust[i - lead]))
  return [
    ...logins.map(check => barOf('login', check)),
    ...canary.map(check => barOf('canary', check)),
    ...direct.map(check => barOf('direct', check)),
  ]
    .sort((a, b) => a.at - b.at)
    .slice(-most)
}

const severity = ['ok', 'skipped', 'busy', 'degraded', 'failed'] as const

const worse = (login: Check, trust: Check | undefined): Check =>
  trust && severity.indexOf(trust.status) > severity.indexOf(login.status)
    ? { ...trust, at: login.at, durationSeconds: login.durationSeconds }
    : login

const looks = {
  ok: 'good',
  degraded: 'degraded',
  failed: 'failed',
  busy: 'gap',
  skipped: 'gap',
} as const

const barOf = (probe: ProbeName, { status, kind, at, durationSeconds }: Check): Bar => ({
  probe,
  look: looks[status],
  kind,
  at,
  durationSeconds,
})

/** Pixels: a bar with its gap, and the height of one that failed. */
const step = 3
const height = 24

/**
 * The bars as one drawing, the newest at the right. Those that failed are taller and in pieces, degraded ones pointed: colour
 * alone would tell some people nothing.
 */
export const timeline = (bars: readonly Bar[], isStale: boolean): Html => {
  const lead = most - bars.length
  const drawn = { good: '', degraded: '', failed: '', gap: '', none: '' }
  for (let i = 0; i < lead; i++) drawn.none += shapes.gap(i * step)
  bars.forEach(({ look }, i) => {
    drawn[look] += shapes[look]((lead + i) * step)
  })
  const paths = Object.entries(drawn).flatMap(([look, d]) =>
    d === '' ? [] : [html`<path class="${look}" d="${raw(d)}" />`],
  )
  return html`<svg
    class="checks${isStale && raw(' old')}"
    viewBox="0 0 ${most * step - 1} ${height}"
    width="${most * step - 1}"
    height="${height}"
    role="img"
    aria-label="${sentence(bars)}"
  >
    ${paths}
  </svg>`
}

const shapes: Readonly<Record<Bar['look'], (x: number) => string>> = {
  good: x => `M${x} 8h2v16h-2z`,
  degraded: x => `M${x} 24v-17l1-4 1 4v17z`,
  failed: x => `M${x} 0h2v6h-2zM${x} 9h2v6h-2zM${x} 18h2v6h-2z`,
  gap: x => `M${x} 22h2v2h-2z`,
}

const sentence = (bars: readonly Bar[]): string => {
  const count = (look: Bar['look']) => bars.filter(bar => bar.look === look).length
  const parts = [
    `${count('good')} good`,
    count('degraded') > 0 && `${count('degraded')} degraded`,
    count('failed') > 0 && `${count('failed')} failed`,
    count('gap') > 0 && `${count('gap')} told nothing`,
  ].filter(part => part !== false)
  return bars.length === 0
    ? 'No checks yet'
    : `The last ${bars.length} checks: ${parts.join(', ')}`
}
