/** Cleaning of text that came from outside, before anybody matches, stores or shows it. */

const escapes =
  // eslint-disable-next-line no-control-regex -- finding control sequences is the point
  /\u001b\[[0-?]*[ -/]*[@-~]|\u001b\][^\u0007\u001b]{0,2000}(?:\u0007|\u001b\\)|\u001b[@-Z\\-_]/g
// eslint-disable-next-line no-control-regex -- likewise
const controls =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g

/** Strips terminal escapes, control and direction characters. Newlines and tabs stay. */
export const cleanText = (text: string): string =>
  text.replace(/\r\n?/g, '\n').replace(escapes, '').replace(controls, '')

/** Clean, at most `max` characters; what is cut is told. */
export const evidenceOf = (text: string, max = 2000): string => {
  const clean = cleanText(text.slice(0, max * 8)).trim()
  if (clean.length <= max) return clean
  const half = Math.floor(max / 2)
  return `${clean.slice(0, half)}\n[... ${clean.length - 2 * half} characters left out ...]\n${clean.slice(-half)}`
}

/** One clean line of at most `max` characters. */
export const oneLine = (text: string, max = 160): string => {
  const line = cleanText(text.slice(0, max * 8))
    .replace(/\s+/g, ' ')
    .trim()
  return line.length > max ? `${line.slice(0, max - 1)}…` : line
}
