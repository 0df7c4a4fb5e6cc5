import type { AlertRule } from '../rule.ts'
import { buildersInStates, valueIs, excludeBuildersIn } from '../sample-set.ts'
import { thresholds as t } from '../thresholds.ts'
import { inState, loginInterval, perBuilder } from './promql.ts'

/** Alerts about builder-monitor itself. */
export const monitorRules: readonly AlertRule[] = [
  {
    name: 'NixBuilderMonitorReloadFailed',
    expr: 'builder_monitor_config_last_reload_successful == 0',
    evaluate: samples =>
      samples.select('builder_monitor_config_last_reload_successful').filter(valueIs(0)),
    for: '10m',
    severity: 'warning',
    summary: 'builder-monitor runs with an outdated configuration.',
    description:
      'The newest configuration of {{ $labels.instance }} is invalid and was rejected.',
    runbook: {
      meaning:
        'Changes to the configuration have no effect. The service would not start again after a stop.',
      diagnosis: '`builder-monitor config check`',
      fix: 'Fix the errors it prints, then `systemctl reload builder-monitor`.',
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
    summary: 'builder-monitor does not probe its builders.',
    description:
      '{{ $labels.instance }} responds to scrapes, but its last login was {{ $value | humanizeDuration }} ago.',
    runbook: {
      meaning:
        'All reported states are outdated. The systemd watchdog should have restarted the service.',
      diagnosis:
        '`systemctl status builder-monitor`; `journalctl -u builder-monitor -n 100`',
      fix: '`systemctl restart builder-monitor`, and report a bug with the log.',
    },
  },
]
