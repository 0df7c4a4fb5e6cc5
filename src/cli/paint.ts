import { styleText } from 'node:util'
import type { State } from '../model/index.ts'
import type { ProbeReport } from '../diagnosis/report.ts'
import { wantsColor, type Io } from './terminal.ts'

/** Styles text by state or status; without colors it returns the text unchanged. */
export interface Paint {
  readonly state: (state: State, text: string) => string
  readonly status: (status: ProbeReport['status'], text: string) => string
  readonly dim: (text: string) => string
  readonly bold: (text: string) => string
}

type Style = Parameters<typeof styleText>[0]
/** Styles regardless of standard output, because `createPaint` decides. */
const style = (format: Style) => (text: string) =>
  styleText(format, text, { validateStream: false })
const [red, green, yellow, blue] = [
  style('red'),
  style('green'),
  style('yellow'),
  style('blue'),
]
const [dim, bold] = [style('dim'), style('bold')]

const plain: Paint = {
  state: (_, t) => t,
  status: (_, t) => t,
  dim: t => t,
  bold: t => t,
}

const colored: Paint = {
  state: (state, text) =>
    ({
      healthy: green,
      degraded: yellow,
      down: red,
      unknown: blue,
      asleep: dim,
      drained: dim,
    })[state](text),
  status: (status, text) =>
    ({ ok: green, degraded: yellow, failed: red, busy: blue, skipped: dim })[status](
      text,
    ),
  dim,
  bold,
}

export const createPaint = (isTerminal: boolean, env: Io['env']): Paint =>
  wantsColor(isTerminal, env) ? colored : plain
