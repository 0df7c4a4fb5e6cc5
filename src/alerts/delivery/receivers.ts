/** Credentials and CA for a receiver. Files are read for each request, so a changed secret needs no reload. */
export interface Access {
  readonly username?: string
  readonly passwordFile?: string
  readonly tokenFile?: string
  /** PEM file. Replaces the CAs of Node.js. */
  readonly caFile?: string
}

export interface AlertmanagerSettings extends Access {
  readonly name?: string
  /** May have a path prefix. */
  readonly url: string
}

export interface WebhookSettings extends Access {
  readonly name: string
  /** Exactly one of `url` and `urlFile` is set. */
  readonly url?: string
  readonly urlFile?: string
  /** Interval for repeating alerts that are still firing. */
  readonly repeatHours: number
}

/** The `alerting` section of the configuration, as far as delivery uses it. */
export interface ReceiverSettings {
  readonly enable: boolean
  readonly alertmanagers: readonly AlertmanagerSettings[]
  readonly webhooks: readonly WebhookSettings[]
}

/** A receiver with its label in metrics and log lines: never more of its address than host and port. */
export interface ReceiverConfig<T> {
  readonly label: string
  readonly settings: T
}

/** Labels each receiver with its configured name or with host:port. A duplicate gets a suffix like `#2`. */
export const labelReceivers = (
  settings: ReceiverSettings,
): {
  readonly alertmanagers: readonly ReceiverConfig<AlertmanagerSettings>[]
  readonly webhooks: readonly ReceiverConfig<WebhookSettings>[]
} => {
  if (!settings.enable) return { alertmanagers: [], webhooks: [] }
  const usedLabels = new Set([
    ...settings.webhooks.map(({ name }) => name),
    ...settings.alertmanagers.flatMap(({ name }) => name ?? []),
  ])
  const uniqueLabel = (preferred: string): string => {
    let label = preferred
    for (let i = 2; usedLabels.has(label); i++) label = `${preferred}#${i}`
    usedLabels.add(label)
    return label
  }
  return {
    alertmanagers: settings.alertmanagers.map(one => ({
      label: one.name ?? uniqueLabel(hostAndPort(one.url)),
      settings: one,
    })),
    webhooks: settings.webhooks.map(one => ({ label: one.name, settings: one })),
  }
}

const hostAndPort = (text: string): string => {
  const { hostname, port, protocol } = new URL(text)
  return `${hostname}:${port || (protocol === 'https:' ? '443' : '80')}`
}
