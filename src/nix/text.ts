/** Text splitting as in Nix: whitespace is space, tab, CR and LF, nothing else. */

const isBlank = (char: string | undefined): boolean =>
  char === ' ' || char === '\t' || char === '\r' || char === '\n'

/** Splits at whitespace. */
export const words = (text: string): readonly string[] =>
  text.split(/[ \t\r\n]+/).filter(word => word !== '')

/** Splits at commas and drops empty items. */
export const items = (text: string): readonly string[] =>
  text.split(',').filter(item => item !== '')

/** Trims whitespace at both ends in linear time; a regular expression would be quadratic. */
export const trim = (text: string): string => {
  let start = 0
  let end = text.length
  while (start < end && isBlank(text[start])) start++
  while (end > start && isBlank(text[end - 1])) end--
  return text.slice(start, end)
}

/** Returns the text up to the first `#`. */
export const stripComment = (text: string): string => {
  const at = text.indexOf('#')
  return at < 0 ? text : text.slice(0, at)
}

/** Quotes untrusted text for a message: one line, at most `max` characters. */
export const quote = (text: string, max = 80): string => {
  const clean = text.slice(0, max + 1).replaceAll(/[^\P{C} ]/gu, '?')
  const isLong = clean.length > max || text.length > max
  return `'${isLong ? `${clean.slice(0, max - 1)}…` : clean}'`
}
