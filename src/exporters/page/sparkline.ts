import { html, type Html } from './html.ts'

export interface Point {
  /** Unix seconds. */
  readonly at: number
  readonly value: number
}

const width = 120
const height = 24
const margin = 2

/** Renders the history of a number as a line with its minimum, maximum and newest value. Null with fewer than two points. */
export const sparkline = (
  name: string,
  points: readonly Point[],
  format: (value: number) => string,
): Html | null => {
  const [first, last] = [points[0], points.at(-1)]
  if (!first || !last || points.length < 2) return null
  const values = points.map(({ value }) => value)
  const [minimum, maximum] = [Math.min(...values), Math.max(...values)]
  const x = ({ at }: Point) => (width * (at - first.at)) / (last.at - first.at || 1)
  const y = ({ value }: Point) =>
    // A constant value is a line in the middle
    maximum === minimum
      ? height / 2
      : margin + ((height - 2 * margin) * (maximum - value)) / (maximum - minimum)
  const line = points
    .map(point => `${x(point).toFixed(1)},${y(point).toFixed(1)}`)
    .join(' ')
  return html`<figure class="spark">
    <figcaption>${name}</figcaption>
    <svg
      viewBox="0 0 ${width} ${height}"
      width="${width}"
      height="${height}"
      aria-hidden="true"
    >
      <polyline points="${line}" />
    </svg>
    <p>
      <b>${format(last.value)}</b>
      <span class="quiet"
        >${format(minimum) === format(maximum) ? 'constant' : `${format(minimum)} to ${format(maximum)}`}</span
      >
    </p>
  </figure>`
}
