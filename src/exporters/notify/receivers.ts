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
export interface Named<T> {
  readonly label: string
  readonly settings: T
}

/** Names as given, else host:port; a second one of a name gets a number. */
export const nameReceivers = (
  settings: ReceiverSettings,
): {
  readonly alertmanagers: readonly Named<AlertmanagerSettings>[]
  readonly webhooks: readonly Named<WebhookSettings>[]
} => {
  if (!settings.enable) return { alertmanagers: [], webhooks: [] }
  const taken = new Set([
    ...settings.webhooks.map(({ name }) => name),
    ...settings.alertmanagers.flatMap(({ name }) => name ?? []),
  ])
  const free = (wish: string): string => {
    let label = wish
    for (let i = 2; taken.has(label); i++) label = `${wish}#${i}`
    taken.add(label)
    return label
  }
  return {
    alertmanagers: settings.alertmanagers.map(one => ({
      label: one.name ?? free(hostPortOf(one.url)),
      settings: one,
    })),
    webhooks: settings.webhooks.map(one => ({ label: one.name, settings: one })),
  }
}

const hostPortOf = (text: string): string => {
  const { hostname, port, protocol } = new URL(text)
  return `${hostname}:${port || (protocol === 'https:' ? '443' : '80')}`
}
