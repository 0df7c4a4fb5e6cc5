/** Parsers for the output of telemetry scripts. The input is untrusted; they never throw. */

/** Parses `key value...` lines; the first of equal keys wins. */
export const parseKeyValues = (text: string): ReadonlyMap<string, string> => {
  const parsed = new Map<string, string>()
  for (const line of text.split('\n').slice(0, 2000)) {
    const space = line.indexOf(' ')
    const key = space < 0 ? line : line.slice(0, space)
    if (key && !parsed.has(key))
      parsed.set(key, space < 0 ? '' : line.slice(space + 1).trim())
  }
  return parsed
}

/** Parses a non-negative number; null for other text. */
export const parseNumber = (text: string | undefined): number | null => {
  if (text === undefined || !/^\d{1,20}(\.\d+)?$/.test(text.trim())) return null
  return Number(text)
}

/** Splits `== NAME` sections. */
export const parseSections = (text: string): ReadonlyMap<string, string> => {
  const parsed = new Map<string, string>()
  for (const part of `\n${text}`.split('\n== ').slice(1)) {
    const end = part.indexOf('\n')
    if (end > 0) parsed.set(part.slice(0, end).trim(), part.slice(end + 1).trimEnd())
  }
  return parsed
}
