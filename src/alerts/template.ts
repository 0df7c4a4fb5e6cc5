/**
 * Renders the part of Prometheus' template language (docs: prometheus/configuration/template_reference) that
 * descriptions use: `{{ $labels.x }}`, `{{ $value }}`, and a pipe to `humanize` or `humanizeDuration`. Throws for
 * anything else; a test renders every description.
 */
export const renderTemplate = (
  template: string,
  labels: Readonly<Record<string, string>>,
  value: number,
): string =>
  template.replace(/\{\{([^{}]*)\}\}/g, (_, inner: string) => {
    const [subject = '', ...pipe] = inner.split('|').map(part => part.trim())
    const label = /^\$labels\.(\w+)$/.exec(subject)?.[1]
    if (label !== undefined && pipe.length === 0) return labels[label] ?? ''
    const [name, ...more] = pipe
    const format = name === undefined ? String : formatters[name]
    if (subject !== '$value' || !format || more.length > 0)
      throw new Error(`the template {{${inner}}} is not supported`)
    return format(value)
  })

/** Like Prometheus: days, hours, minutes and seconds; a metric prefix below a second. */
const humanizeDuration = (seconds: number): string => {
  if (!Number.isFinite(seconds)) return String(seconds)
  if (Math.abs(seconds) < 1) return seconds === 0 ? '0s' : `${humanize(seconds)}s`
  const total = Math.trunc(Math.abs(seconds))
  const sign = seconds < 0 ? '-' : ''
  const days = Math.floor(total / 86_400)
  const hours = Math.floor(total / 3600) % 24
  const minutes = Math.floor(total / 60) % 60
  if (days > 0) return `${sign}${days}d ${hours}h ${minutes}m ${total % 60}s`
  if (hours > 0) return `${sign}${hours}h ${minutes}m ${total % 60}s`
  if (minutes > 0) return `${sign}${minutes}m ${total % 60}s`
  // %.4g
  return `${sign}${Number(Math.abs(seconds).toPrecision(4))}s`
}

/** Like Prometheus: four digits and a metric prefix. */
const humanize = (value: number): string => {
  if (value === 0 || !Number.isFinite(value)) return String(Number(value.toPrecision(4)))
  const up = ['k', 'M', 'G', 'T', 'P', 'E', 'Z', 'Y']
  const down = ['m', 'u', 'n', 'p', 'f', 'a', 'z', 'y']
  let rest = value
  let prefix = ''
  for (const next of up) {
    if (Math.abs(rest) < 1000) break
    prefix = next
    rest /= 1000
  }
  for (const next of down) {
    if (Math.abs(rest) >= 1) break
    prefix = next
    rest *= 1000
  }
  return `${Number(rest.toPrecision(4))}${prefix}`
}

const formatters: Readonly<Record<string, ((value: number) => string) | undefined>> = {
  humanize,
  humanizeDuration,
}
