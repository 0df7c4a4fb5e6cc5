/**
 * The part of Prometheus' template language (docs: prometheus/configuration/template_reference) that descriptions use:
 * `{{ $labels.x }}`, `{{ $value }}`, and a pipe to `humanize` or `humanizeDuration`. Throws a sentence for anything else;
 * a test renders every description.
 */
export const renderTemplate = (
  template: string,
  labels: Readonly<Record<string, string>>,
  value: number,
): string =>
  template.replace(/\{\{(.*?)\}\}/g, (_, inner: string) => {
    const [subject = '', ...pipe] = inner.split('|').map(part => part.trim())
    const label = /^\$labels\.(\w+)$/.exec(subject)?.[1]
    if (label !== undefined && pipe.length === 0) return labels[label] ?? ''
    const [name, ...more] = pipe
    const format = name === undefined ? String : formatters[name]
    if (subject !== '$value' || !format || more.length > 0)
      throw new Error(`the template {{${inner}}} is not of the part that we know`)
    return format(value)
  })

/** As Prometheus does: whole days, hours, minutes and seconds; below a second with a prefix. */
const humanizeDuration = (seconds: number): string => {
  if (!Number.isFinite(seconds)) return String(seconds)
  if (Math.abs(seconds) < 1) return seconds === 0 ? '0s' : `${humanize(seconds)}s`
  const whole = Math.trunc(Math.abs(seconds))
  const sign = seconds < 0 ? '-' : ''
  const days = Math.floor(whole / 86_400)
  const hours = Math.floor(whole / 3600) % 24
  const minutes = Math.floor(whole / 60) % 60
  if (days > 0) return `${sign}${days}d ${hours}h ${minutes}m ${whole % 60}s`
  if (hours > 0) return `${sign}${hours}h ${minutes}m ${whole % 60}s`
  if (minutes > 0) return `${sign}${minutes}m ${whole % 60}s`
  // %.4g
  return `${sign}${Number(Math.abs(seconds).toPrecision(4))}s`
}

/** As Prometheus does: four digits and a metric prefix. */
const humanize = (value: number): string => {
  if (value === 0 || !Number.isFinite(value)) return String(Number(value.toPrecision(4)))
  const up = ['k', 'M', 'G', 'T', 'P', 'E', 'Z', 'Y']
  const down = ['m', 'u', 'n', 'p', 'f', 'a', 'z', 'y']
  let rest = value
  let prefix = ''
  for (const one of up) {
    if (Math.abs(rest) < 1000) break
    prefix = one
    rest /= 1000
  }
  for (const one of down) {
    if (Math.abs(rest) >= 1) break
    prefix = one
    rest *= 1000
  }
  return `${Number(rest.toPrecision(4))}${prefix}`
}

const formatters: Readonly<Record<string, ((value: number) => string) | undefined>> = {
  humanize,
  humanizeDuration,
}
