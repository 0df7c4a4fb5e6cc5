import type { AlertRule } from './rule.ts'
import { builderRules } from './rules/builder.ts'
import { fleetRules } from './rules/fleet.ts'
import { monitorRules } from './rules/monitor.ts'
import { resourceRules } from './rules/resources.ts'

/**
 * Every alert, in one table: prometheus/alerts.yml, its runbook pages and its tests are made from it or compared with
 * it, and the daemon's own alerts are evaluated from it. An alert exists where somebody can act; what nobody shall be
 * woken for is a metric and no more.
 */
export const alertRules: readonly AlertRule[] = [
  ...fleetRules,
  ...builderRules,
  ...resourceRules,
  ...monitorRules,
]

/** What the configuration may name. */
export const alertNames: readonly string[] = alertRules.map(({ name }) => name)

/** Families that conditions read, so that nothing else needs to be made for them. */
export const familiesUsedByRules: ReadonlySet<string> = new Set([
  'nix_builder_state',
  ...alertRules.flatMap(({ expr, sourceFamily }) => [
    ...(expr.match(/\b(?:nix_|builder_monitor_)\w+/g) ?? []),
    ...(sourceFamily === undefined ? [] : [sourceFamily]),
  ]),
])
