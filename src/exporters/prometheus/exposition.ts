import type { Family } from './families.ts'

/** Prometheus text or OpenMetrics. They differ in headers, not in the lines of gauges and counters. */
export type Format = 'text' | 'openmetrics'

export const contentTypes: Readonly<Record<Format, string>> = {
  text: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
}

/** Selects OpenMetrics when the Accept header prefers it or weighs it equally. */
export const negotiateFormat = (accept: string | undefined): Format => {
  const quality = (type: string): number => {
    const weights = (accept ?? '')
      .toLowerCase()
      .split(',')
      .map(one => one.split(';').map(part => part.trim()))
      .filter(([name]) => name === type)
      .map(([, ...params]) => {
        const q = params.find(param => param.startsWith('q='))
        return q === undefined ? 1 : Number(q.slice(2)) || 0
      })
    return Math.max(0, ...weights)
  }
  const openMetrics = quality('application/openmetrics-text')
  return openMetrics > 0 && openMetrics >= quality('text/plain') ? 'openmetrics' : 'text'
}

/** Formats HELP and TYPE. OpenMetrics names a counter family without `_total`. */
export const formatHeader = ({ name, type, help }: Family, format: Format): string => {
  const isOpen = format === 'openmetrics'
  const title = isOpen && type === 'counter' ? name.replace(/_total$/, '') : name
  const text = isOpen ? escapeLabel(help) : help.replace(/[\\\n]/g, escaped)
  return `# HELP ${title} ${text}\n# TYPE ${title} ${type}\n`
}

/** Formats a sample as one line with its newline. */
export const formatLine = (
  name: string,
  labels: Readonly<Record<string, string>>,
  value: number,
): string => {
  let text = ''
  for (const label in labels)
    text += `${text === '' ? '{' : ','}${label}="${escapeLabel(labels[label] ?? '')}"`
  return `${name}${text === '' ? '' : `${text}}`} ${formatNumber(value)}\n`
}

/** Returns the end marker that OpenMetrics requires. */
export const formatEnd = (format: Format): string =>
  format === 'openmetrics' ? '# EOF\n' : ''

const special = /[\\"\n]/
const escapeLabel = (text: string): string =>
  special.test(text) ? text.replace(/[\\"\n]/g, escaped) : text
const escaped = (character: string): string =>
  character === '\n' ? '\\n' : `\\${character}`

const formatNumber = (value: number): string => {
  if (value === Infinity) return '+Inf'
  return value === -Infinity ? '-Inf' : String(value)
}
