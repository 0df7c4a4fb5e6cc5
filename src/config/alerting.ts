import { closestMatch } from '../text/closest-match.ts'

/** Access to a receiver; secrets are only in files. */
interface AccessConfig {
  readonly username?: string
  readonly passwordFile?: string
  readonly tokenFile?: string
  readonly caFile?: string
}

/** The section `alerting` with all defaults filled in. */
export interface AlertingConfig {
  readonly enable: boolean
  readonly labels: Readonly<Record<string, string>>
  /** Empty means the default. */
  readonly instance: string
  /** Empty means the default. */
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

/** Labels that identify an alert or have their own option. */
const reservedLabels = ['alertname', 'severity', 'instance']

/** Validates what the schema cannot express. Returns one message for each error, with its JSON path. */
export const validateAlerting = (
  alerting: AlertingConfig,
  alertNames: readonly string[],
): readonly string[] => [
  ...reservedLabels
    .filter(name => Object.hasOwn(alerting.labels, name))
    .map(
      name =>
        `/alerting/labels/${name}: every alert already has that label${name === 'instance' ? ', set /alerting/instance' : ''}`,
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
        ? [`${path}: needs either url or urlFile`]
        : []),
      ...(receiver.url === undefined ? [] : validateUrl(`${path}/url`, receiver.url)),
      ...validateAccess(path, receiver),
    ]
  }),
  ...validateNames(alerting),
]

/** Messages do not repeat the URL: it can contain a secret. */
const validateUrl = (path: string, text: string): readonly string[] => {
  const url = URL.canParse(text) ? new URL(text) : null
  if (!url || !/^https?:$/.test(url.protocol))
    return [`${path}: is not an http or https URL like http://alerts.example.org:9093`]
  if (url.username || url.password)
    return [
      `${path}: contains a user or password; use username and passwordFile, because this file is not secret`,
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
    return [`${path}: username and passwordFile must be used together`]
  return []
}

/** Names identify receivers in metrics. */
const validateNames = ({
  alertmanagers,
  webhooks,
}: AlertingConfig): readonly string[] => {
  const usedNames = new Set<string>()
  const names = [
    ...alertmanagers.map(
      (receiver, i) => [`/alerting/alertmanagers/${i}`, receiver.name] as const,
    ),
    ...webhooks.map((receiver, i) => [`/alerting/webhooks/${i}`, receiver.name] as const),
  ]
  return names.flatMap(([path, name]) => {
    if (name === undefined) return []
    if (usedNames.has(name))
      return [`${path}/name: another receiver has the name ${name}`]
    usedNames.add(name)
    return []
  })
}
