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

/** Cuts the middle out of a text: the reason of a failure is at its beginning or at its end. */
export const cutMiddle = (text: string, max: number): string => {
  if (text.length <= max) return text
  const tail = Math.floor(max / 3)
  return text.slice(0, max - tail) + text.slice(text.length - tail)
}
