import type { AlertRule } from '../rule.ts'
import { buildersInStates, valueIs, excludeBuildersIn } from '../sample-set.ts'
import { thresholds as t } from '../thresholds.ts'
import { inState, loginInterval, perBuilder } from './promql.ts'

/** The monitor itself. */
export const monitorRules: readonly AlertRule[] = [
  {
    name: 'NixBuilderMonitorReloadFailed',
    expr: 'builder_monitor_config_last_reload_successful == 0',
    evaluate: samples =>
      samples.select('builder_monitor_config_last_reload_successful').filter(valueIs(0)),
    for: '10m',
    severity: 'warning',
    summary: 'builder-monitor runs with an old configuration.',
    description:
      'The newest configuration of {{ $labels.instance }} is bad and was refused.',
    runbook: {
      meaning:
        'What was changed does not hold; after a restart the monitor would not start.',
      diagnosis: 'builder-monitor config check',
      fix: 'Mend what it names, then systemctl reload builder-monitor.',
    },
  },
  {
    name: 'NixBuilderMonitorStale',
    expr: `(time() - max by (instance, job) (nix_builder_probe_run_timestamp_seconds{probe="login"} unless ${perBuilder} ${inState('drained|asleep')})) > on (instance, job) (${t.staleIntervals} * ${loginInterval} + ${t.backOffSeconds})`,
    evaluate: samples => {
      const interval = samples.selectValue('builder_monitor_probe_interval_seconds', {
        probe: 'login',
      })
      const runs = excludeBuildersIn(
        samples.select('nix_builder_probe_run_timestamp_seconds', { probe: 'login' }),
        buildersInStates(samples, ['drained', 'asleep']),
      )
      if (interval === undefined || runs.length === 0) return []
      const newest = Math.max(...runs.map(({ value }) => value))
      const age = samples.now - newest
      return age > t.staleIntervals * interval + t.backOffSeconds
        ? [{ labels: {}, value: age }]
        : []
    },
    for: '5m',
    severity: 'warning',
    summary: 'builder-monitor asks no builder any more.',
    description:
      '{{ $labels.instance }} answers scrapes, but its last login was {{ $value | humanizeDuration }} ago.',
    runbook: {
      meaning: 'What it shows is old. Its watchdog should have restarted it.',
      diagnosis:
        'systemctl status builder-monitor; journalctl -u builder-monitor -n 100.',
      fix: 'systemctl restart builder-monitor, and send us the log.',
    },
  },
]
