import { sanitize } from '../text/sanitize.ts'

const escape = String.fromCharCode(27)
const colors: Readonly<Record<string, number>> = {
  debug: 2,
  info: 32,
  warn: 33,
  error: 31,
}
const maxValue = 2000

/**
 * Formats a JSON line of our log for people: `TIME LEVEL message key=value ...`. Sanitizes remote text and keeps it on one
 * line. Text that is not JSON is returned sanitized.
 */
export const prettyLine = (json: string, withColor: boolean): string => {
  const paint = (code: number, text: string) =>
    withColor ? `${escape}[${code}m${text}${escape}[0m` : text
  const fields = parse(json)
  if (!fields) return `${oneLine(json)}\n`
  const { time, level, msg, ...rest } = fields
  const name = textOf(level)
  return `${[
    paint(2, textOf(time)),
    paint(colors[name] ?? 0, name.toUpperCase().padEnd(5)),
    textOf(msg),
    ...Object.entries(rest).map(([key, value]) =>
      [paint(2, `${oneLine(key)}=`), wordOf(value)].join(''),
    ),
  ].join(' ')}\n`
}

const parse = (json: string): Record<string, unknown> | null => {
  try {
    const value: unknown = JSON.parse(json)
    return typeof value === 'object' && value !== null ? { ...value } : null
  } catch {
    return null
  }
}

const oneLine = (text: string): string => sanitize(text, maxValue).replaceAll(/\s+/g, ' ')

const textOf = (value: unknown): string =>
  oneLine(typeof value === 'string' ? value : JSON.stringify(value ?? ''))

/** Quotes a value unless a shell would read it as one word. Of an error only the message. */
const wordOf = (value: unknown): string => {
  const isError = typeof value === 'object' && value !== null && 'stack' in value
  const printed = isError && 'message' in value ? value.message : value
  const text = textOf(printed)
  if (typeof printed !== 'string') return text
  return /^[\w.:/@+,%#-]+$/.test(text) ? text : JSON.stringify(text)
}
