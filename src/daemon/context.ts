import type { AlertSettings } from '../alerts/settings.ts'
import { parseListen, type Config } from '../config/config.ts'
import type { HealthContext } from '../diagnosis/health.ts'
import type { Builder } from '../model/index.ts'
import { closestMatch } from '../text/closest-match.ts'
import { trimEnd } from '../text/trim-end.ts'

/** The configuration in effect. A reload replaces the whole value. */
export interface EffectiveConfig {
  read(): Config
  replace(config: Config): void
}

export const createEffectiveConfig = (initial: Config): EffectiveConfig => {
  let config = initial
  return {
    read: () => config,
    replace: next => {
      config = next
    },
  }
}

/** How this daemon identifies itself in alerts. Fixed at start: another `instance` label would create new alerts. */
export interface DaemonIdentity {
  readonly instance: string
  readonly externalUrl: string
}

/** Returns what the configuration says about a builder's availability. */
export const expectationFor = (
  { builders }: Pick<Config, 'builders'>,
  name: string,
): HealthContext['expect'] => {
  const overrides = builders[name]
  return overrides?.drained ? 'drained' : (overrides?.expect ?? 'awake')
}

/** Returns the rate below which the link to a builder is slow; 0 when it is not measured. */
export const minMiBPerSecond = (config: Config, name: string): number => {
  const { throughput, builders } = config
  const overrides = builders[name]
  const isMeasured = !overrides?.metered && expectationFor(config, name) === 'awake'
  return isMeasured ? (overrides?.minMiBPerSecond ?? throughput.minMiBPerSecond) : 0
}

/** Returns a warning for each name under `builders` that no builder has. */
export const unknownBuilderNames = (
  { builders }: Pick<Config, 'builders'>,
  active: readonly Builder[],
): readonly string[] => {
  const names = active.map(({ name }) => name)
  return Object.keys(builders)
    .filter(name => !names.includes(name))
    .map(name => {
      const suggestion = closestMatch(name, names)
      return `builders.${name}: no builder has this name${suggestion ? `, did you mean ${suggestion}?` : ''}`
    })
}

/** Returns the alert settings, completed with the identity of this daemon. */
export const alertSettings = (
  { alerting }: Pick<Config, 'alerting'>,
  identity: DaemonIdentity,
): AlertSettings => ({
  ...alerting,
  instance: alerting.instance || identity.instance,
  externalUrl: trimEnd(alerting.externalUrl || identity.externalUrl, '/'),
})

/** Parses validated listen addresses. */
export const parseAddresses = (listen: readonly string[]) =>
  listen.flatMap(address => parseListen(address) ?? [])

/** Returns the host names under which the configuration says that this daemon is reached. */
export const allowedHosts = ({
  allowedHosts: names,
  listen,
  alerting: { externalUrl },
}: Pick<Config, 'allowedHosts' | 'listen' | 'alerting'>): readonly string[] => [
  ...names,
  ...parseAddresses(listen).flatMap(one => ('host' in one ? one.host : [])),
  ...(URL.canParse(externalUrl) ? [new URL(externalUrl).hostname] : []),
]
