import type { AlertRule } from './rule.ts'
import { builderRules } from './rules/builder.ts'
import { fleetRules } from './rules/fleet.ts'
import { monitorRules } from './rules/monitor.ts'
import { resourceRules } from './rules/resources.ts'

/**
 * All alerts. prometheus/alerts.yml and the runbooks are generated from this table, and built-in alerting evaluates it.
 * Only conditions that require action are alerts; everything else is only a metric.
 */
export const alertRules: readonly AlertRule[] = [
  ...fleetRules,
  ...builderRules,
  ...resourceRules,
  ...monitorRules,
]

/** Valid names in `disabledAlerts`. */
export const alertNames: readonly string[] = alertRules.map(({ name }) => name)

/** Families that `evaluate` uses; only their samples are collected for rules. */
export const familiesUsedByRules: ReadonlySet<string> = new Set([
  'nix_builder_state',
  ...alertRules.flatMap(({ expr, sourceFamily }) => [
    ...(expr.match(/\b(?:nix_|builder_monitor_)\w+/g) ?? []),
    ...(sourceFamily === undefined ? [] : [sourceFamily]),
  ]),
])
