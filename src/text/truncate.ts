import { sanitize } from './sanitize.ts'

/** Sanitizes remote text to keep as evidence. Beyond `max` characters the middle is replaced by a note. */
export const truncateEvidence = (text: string, max = 2000): string => {
  const clean = sanitize(text.slice(0, max * 8), max * 8)
  if (clean.length <= max) return clean
  const half = Math.floor(max / 2)
  const omitted = clean.length - 2 * half
  return `${clean.slice(0, half)}\n[... ${omitted} characters omitted ...]\n${clean.slice(-half)}`
}

/** Sanitizes text into one line of at most `max` characters. */
export const oneLine = (text: string, max = 160): string => {
  const line = sanitize(text.slice(0, max * 8), max * 8).replace(/\s+/g, ' ')
  return line.length > max ? `${line.slice(0, max - 1)}…` : line
}
