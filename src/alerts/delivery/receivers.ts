/** How a receiver is reached; files are read anew for each request, so a changed secret needs no reload. */
export interface Access {
  readonly username?: string
  readonly passwordFile?: string
  readonly tokenFile?: string
  /** PEM; instead of the authorities that Node knows. */
  readonly caFile?: string
}

export interface AlertmanagerSettings extends Access {
  readonly name?: string
  /** With a path prefix or without. */
  readonly url: string
}

export interface WebhookSettings extends Access {
  readonly name: string
  /** One of the two. */
  readonly url?: string
  readonly urlFile?: string
  /** Hours after which alerts that still fire are told again. */
  readonly repeatHours: number
}

/** The part of the configuration that says who is told. */
export interface ReceiverSettings {
  readonly enable: boolean
  readonly alertmanagers: readonly AlertmanagerSettings[]
  readonly webhooks: readonly WebhookSettings[]
}

/** A receiver with the name by which metrics and log lines know it; never more of its address than host and port. */
export interface ReceiverConfig<T> {
  readonly label: string
  readonly settings: T
}

/** Names as given, else host:port; a second one of a name gets a number. */
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
