import { sanitize } from './sanitize.ts'

/** Remote text to keep as evidence: clean, at most `max` characters; what is cut is told. */
export const truncateEvidence = (text: string, max = 2000): string => {
  const clean = sanitize(text.slice(0, max * 8), max * 8)
  if (clean.length <= max) return clean
  const half = Math.floor(max / 2)
  const omitted = clean.length - 2 * half
  return `${clean.slice(0, half)}\n[... ${omitted} characters left out ...]\n${clean.slice(-half)}`
}

/** One clean line of at most `max` characters. */
export const oneLine = (text: string, max = 160): string => {
  const line = sanitize(text.slice(0, max * 8), max * 8).replace(/\s+/g, ' ')
  return line.length > max ? `${line.slice(0, max - 1)}…` : line
}
