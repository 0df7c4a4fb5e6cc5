import type { Formats } from '../schema-validator.ts'

/** Parses a boolean in the words of YAML 1.1, which exporter-toolkit reads; null if the text is not a boolean. */
export const parseBoolean = (text: string): boolean | null => {
  if (/^(?:true|yes|on|y)$/i.test(text)) return true
  return /^(?:false|no|off|n)$/i.test(text) ? false : null
}

const units: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
}

/** Parses a Go duration (`1s`, `1m30s`, `250ms`, `0`; time.ParseDuration) to milliseconds; null if it is not one. */
export const parseDuration = (text: string): number | null => {
  if (text === '0') return 0
  if (!/^(?:\d+(?:\.\d+)?(?:ns|us|µs|μs|ms|s|m|h))+$/.test(text)) return null
  const parts = text.split(/(?<=[a-zµμ])(?=\d)/)
  return parts.reduce((sum, part) => {
    const unit = part.replace(/^[\d.]+/, '')
    return sum + Number(part.slice(0, part.length - unit.length)) * units[unit]!
  }, 0)
}

/** Parses a non-negative integer; null if the text is not one. */
export const parseCount = (text: string): number | null =>
  /^\d{1,9}$/.test(text) ? Number(text) : null

/** The formats of the schema. Empty text means an absent value and is always valid. */
export const webFormats: Formats = {
  boolean: text => text === '' || parseBoolean(text) !== null,
  duration: text => text === '' || parseDuration(text) !== null,
  count: text => text === '' || parseCount(text) !== null,
  header: text => /^[\t\x20-\x7e]*$/.test(text),
}

/** What a value of each format must be, for messages. */
export const formatRequirements: Readonly<Record<string, string>> = {
  boolean: 'true or false',
  duration: 'a duration such as 1s or 250ms',
  count: 'a whole number',
  header: 'one line of printable ASCII',
}

/** Makes text of a file fit for one line of a terminal. */
export const printable = (text: string): string =>
  text.replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, '?').slice(0, 80)
