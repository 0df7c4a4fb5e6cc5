import { nearest } from '../diagnosis/nearest.ts'

/** How a receiver is reached; never a secret itself, only the file that holds it. */
interface AccessConfig {
  readonly username?: string
  readonly passwordFile?: string
  readonly tokenFile?: string
  readonly caFile?: string
}

/** The section `alerting` with every default filled in. */
export interface AlertingConfig {
  readonly enable: boolean
  readonly labels: Readonly<Record<string, string>>
  /** Empty is the default. */
  readonly instance: string
  /** Empty is the default. */
  readonly externalUrl: string
  readonly disabledAlerts: readonly string[]
  readonly alertmanagers: readonly (AccessConfig & {
    readonly url: string
    readonly name?: string
  })[]
  readonly webhooks: readonly (AccessConfig & {
    readonly name: string
    readonly url?: string
    readonly urlFile?: string
    readonly repeatHours: number
  })[]
}

/** Labels that say which alert it is, or that have an option of their own. */
const ownLabels = ['alertname', 'severity', 'instance']

/** What the schema cannot tell: a sentence for each fault, with its JSON path. */
export const alertingFaults = (
  alerting: AlertingConfig,
  alertNames: readonly string[],
): readonly string[] => [
  ...ownLabels
    .filter(name => Object.hasOwn(alerting.labels, name))
    .map(
      name =>
        `/alerting/labels/${name}: every alert has that label already${name === 'instance' ? ', set /alerting/instance' : ''}`,
    ),
  ...(alerting.externalUrl === ''
    ? []
    : urlFaults('/alerting/externalUrl', alerting.externalUrl)),
  ...alerting.disabledAlerts.flatMap((name, i) => {
    if (alertNames.includes(name)) return []
    const near = nearest(name, alertNames)
    return [
      `/alerting/disabledAlerts/${i}: there is no alert ${JSON.stringify(name)}${near ? `, did you mean ${near}?` : ''}`,
    ]
  }),
  ...alerting.alertmanagers.flatMap((one, i) => [
    ...urlFaults(`/alerting/alertmanagers/${i}/url`, one.url),
    ...accessFaults(`/alerting/alertmanagers/${i}`, one),
  ]),
  ...alerting.webhooks.flatMap((one, i) => {
    const path = `/alerting/webhooks/${i}`
    return [
      ...((one.url === undefined) === (one.urlFile === undefined)
        ? [`${path}: needs url, or urlFile, and not both`]
        : []),
      ...(one.url === undefined ? [] : urlFaults(`${path}/url`, one.url)),
      ...accessFaults(path, one),
    ]
  }),
  ...nameFaults(alerting),
]

/** The URL itself is not repeated: it may hold a secret. */
const urlFaults = (path: string, text: string): readonly string[] => {
  const url = URL.canParse(text) ? new URL(text) : null
  if (!url || !/^https?:$/.test(url.protocol))
    return [`${path}: is not a URL of http or https, like http://alerts.example.org:9093`]
  if (url.username || url.password)
    return [
      `${path}: holds a user or password; use username and passwordFile, since this file is not secret`,
    ]
  if (url.hash || (url.search && !path.includes('/webhooks/')))
    return [`${path}: must end with the path, without ? and #`]
  return []
}

const accessFaults = (
  path: string,
  { username, passwordFile, tokenFile }: AccessConfig,
): readonly string[] => {
  if (tokenFile !== undefined && (username ?? passwordFile) !== undefined)
    return [`${path}: has tokenFile and username or passwordFile, only one can be used`]
  if ((username === undefined) !== (passwordFile === undefined))
    return [`${path}: username and passwordFile are of use only together`]
  return []
}

/** Metrics know receivers by their names. */
const nameFaults = ({ alertmanagers, webhooks }: AlertingConfig): readonly string[] => {
  const seen = new Set<string>()
  const named = [
    ...alertmanagers.map((one, i) => [`/alerting/alertmanagers/${i}`, one.name] as const),
    ...webhooks.map((one, i) => [`/alerting/webhooks/${i}`, one.name] as const),
  ]
  return named.flatMap(([path, name]) => {
    if (name === undefined) return []
    if (seen.has(name))
      return [`${path}/name: another receiver is called ${name} already`]
    seen.add(name)
    return []
  })
}
