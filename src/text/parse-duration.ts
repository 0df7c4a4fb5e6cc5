const units: Readonly<Record<string, number>> = {
  s: 1,
  m: 60,
  h: 3600,
  d: 86_400,
  w: 604_800,
}
const maxSeconds = 366 * 86_400

/** Parses a duration such as `90s`, `0m` or `1h30m` to seconds. Null for anything else. */
export const durationSeconds = (text: string): number | null =>
  /^(?:\d{1,9}[smhdw]){1,5}$/.test(text)
    ? [...text.matchAll(/(\d{1,9})([smhdw])/g)].reduce(
        (sum, [, count, unit]) => sum + Number(count) * (units[unit ?? ''] ?? 0),
        0,
      )
    : null

/** The same for a time until something ends: from 1 s to a year. */
export const parseDuration = (text: string): number | null => {
  const seconds = durationSeconds(text)
  return seconds !== null && seconds >= 1 && seconds <= maxSeconds ? seconds : null
}
