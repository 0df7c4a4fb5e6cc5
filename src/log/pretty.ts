import { sanitize } from '../text/sanitize.ts'

const escape = String.fromCharCode(27)
const colours: Readonly<Record<string, number>> = {
  debug: 2,
  info: 32,
  warn: 33,
  error: 31,
}
const maxValue = 2000

/**
 * A line of JSON of our own log made for people: `TIME LEVEL message key=value ...`. Text from outside loses its control
 * characters, and a line of the log stays one line. What is no JSON is given back clean.
 */
export const prettyLine = (json: string, withColour: boolean): string => {
  const paint = (code: number, text: string) =>
    withColour ? `${escape}[${code}m${text}${escape}[0m` : text
  const fields = parse(json)
  if (!fields) return `${oneLine(json)}\n`
  const { time, level, msg, ...rest } = fields
  const name = textOf(level)
  return `${[
    paint(2, textOf(time)),
    paint(colours[name] ?? 0, name.toUpperCase().padEnd(5)),
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

/** Bare where a shell would take it for one word; of an error its message, the stack is for JSON. */
const wordOf = (value: unknown): string => {
  const isError = typeof value === 'object' && value !== null && 'stack' in value
  const told = isError && 'message' in value ? value.message : value
  const text = textOf(told)
  if (typeof told !== 'string') return text
  return /^[\w.:/@+,%#-]+$/.test(text) ? text : JSON.stringify(text)
}
