const units: Readonly<Record<string, number>> = {
  s: 1,
  m: 60,
  h: 3600,
  d: 86_400,
  w: 604_800,
}
const maxSeconds = 366 * 86_400

/** Parses a duration such as `90s`, `2h` or `1h30m`: seconds, from 1 s to a year. Null for anything else. */
export const parseDuration = (text: string): number | null => {
  if (!/^(?:\d{1,9}[smhdw]){1,5}$/.test(text)) return null
  const seconds = [...text.matchAll(/(\d{1,9})([smhdw])/g)].reduce(
    (sum, [, count, unit]) => sum + Number(count) * (units[unit ?? ''] ?? 0),
    0,
  )
  return seconds >= 1 && seconds <= maxSeconds ? seconds : null
}
