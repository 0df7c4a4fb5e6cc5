import type { AlertRule } from '../rule.ts'
import { inStates, is, unlessBuilderOf } from '../series.ts'
import { thresholds as t } from '../thresholds.ts'
import { inState, loginInterval, perBuilder } from './promql.ts'

/** The monitor itself. */
export const monitorRules: readonly AlertRule[] = [
  {
    name: 'NixBuilderMonitorReloadFailed',
    expr: 'builder_monitor_config_last_reload_successful == 0',
    holds: series =>
      series.of('builder_monitor_config_last_reload_successful').filter(is(0)),
    for: '10m',
    severity: 'warning',
    summary: 'builder-monitor runs with an old configuration.',
    description:
      'The newest configuration of {{ $labels.instance }} is bad and was refused.',
    runbook: {
      means:
        'What was changed does not hold; after a restart the monitor would not start.',
      look: 'builder-monitor config check',
      mend: 'Mend what it names, then systemctl reload builder-monitor.',
    },
  },
  {
    name: 'NixBuilderMonitorStale',
    expr: `(time() - max by (instance, job) (nix_builder_probe_run_timestamp_seconds{probe="login"} unless ${perBuilder} ${inState('drained|asleep')})) > on (instance, job) (${t.staleIntervals} * ${loginInterval} + ${t.backOffSeconds})`,
    holds: series => {
      const interval = series.one('builder_monitor_probe_interval_seconds', {
        probe: 'login',
      })
      const runs = unlessBuilderOf(
        series.of('nix_builder_probe_run_timestamp_seconds', { probe: 'login' }),
        inStates(series, ['drained', 'asleep']),
      )
      if (interval === undefined || runs.length === 0) return []
      const newest = Math.max(...runs.map(({ value }) => value))
      const age = series.now - newest
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
      means: 'What it shows is old. Its watchdog should have restarted it.',
      look: 'systemctl status builder-monitor; journalctl -u builder-monitor -n 100.',
      mend: 'systemctl restart builder-monitor, and send us the log.',
    },
  },
]
