import { closestMatch } from '../text/closest-match.ts'

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
const reservedLabels = ['alertname', 'severity', 'instance']

/** What the schema cannot tell: a sentence for each fault, with its JSON path. */
export const validateAlerting = (
  alerting: AlertingConfig,
  alertNames: readonly string[],
): readonly string[] => [
  ...reservedLabels
    .filter(name => Object.hasOwn(alerting.labels, name))
    .map(
      name =>
        `/alerting/labels/${name}: every alert has that label already${name === 'instance' ? ', set /alerting/instance' : ''}`,
    ),
  ...(alerting.externalUrl === ''
    ? []
    : validateUrl('/alerting/externalUrl', alerting.externalUrl)),
  ...alerting.disabledAlerts.flatMap((name, i) => {
    if (alertNames.includes(name)) return []
    const suggestion = closestMatch(name, alertNames)
    return [
      `/alerting/disabledAlerts/${i}: there is no alert ${JSON.stringify(name)}${suggestion ? `, did you mean ${suggestion}?` : ''}`,
    ]
  }),
  ...alerting.alertmanagers.flatMap((receiver, i) => [
    ...validateUrl(`/alerting/alertmanagers/${i}/url`, receiver.url),
    ...validateAccess(`/alerting/alertmanagers/${i}`, receiver),
  ]),
  ...alerting.webhooks.flatMap((receiver, i) => {
    const path = `/alerting/webhooks/${i}`
    return [
      ...((receiver.url === undefined) === (receiver.urlFile === undefined)
        ? [`${path}: needs url, or urlFile, and not both`]
        : []),
      ...(receiver.url === undefined ? [] : validateUrl(`${path}/url`, receiver.url)),
      ...validateAccess(path, receiver),
    ]
  }),
  ...validateNames(alerting),
]

/** The URL itself is not repeated: it may hold a secret. */
const validateUrl = (path: string, text: string): readonly string[] => {
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

const validateAccess = (
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
const validateNames = ({
  alertmanagers,
  webhooks,
}: AlertingConfig): readonly string[] => {
  const usedNames = new Set<string>()
  const named = [
    ...alertmanagers.map(
      (receiver, i) => [`/alerting/alertmanagers/${i}`, receiver.name] as const,
    ),
    ...webhooks.map((receiver, i) => [`/alerting/webhooks/${i}`, receiver.name] as const),
  ]
  return named.flatMap(([path, name]) => {
    if (name === undefined) return []
    if (usedNames.has(name))
      return [`${path}/name: another receiver is called ${name} already`]
    usedNames.add(name)
    return []
  })
}
