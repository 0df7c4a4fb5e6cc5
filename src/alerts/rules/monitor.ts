import type { AlertRule } from '../rule.ts'
import { buildersInStates, valueIs, excludeBuildersIn } from '../sample-set.ts'
import { thresholds as t } from '../thresholds.ts'
import { inState, loginInterval, perBuilder, seeStatus } from './promql.ts'

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
  {
    name: 'NixBuilderFailOpen',
    expr: 'builder_monitor_quarantine_released{reason!="self_check"} == 1',
    evaluate: samples =>
      samples
        .select('builder_monitor_quarantine_released')
        .filter(({ labels }) => labels['reason'] !== 'self_check')
        .filter(valueIs(1)),
    isInhibitedByClient: true,
    for: '30m',
    severity: 'warning',
    summary: 'Nix builders that fail stay in service.',
    description:
      '{{ $labels.instance }} has not kept builds away from builders that fail for half an hour: {{ $labels.reason }}.',
    runbook: {
      meaning:
        'Builds wait for builders that fail, or fail there. The reason panic: more than half of the builders fail; holder: nothing holds slots; floor: no other builder has the systems and features of one that fails; share: a third of the builders is quarantined already.',
      diagnosis: `${seeStatus} For the reason holder: \`systemctl status builder-monitor-slots.socket builder-monitor-slots\``,
      fix: 'For holder: `sudo systemctl start builder-monitor-slots.socket`. Otherwise fix the builders that fail, or add a builder with the same systems and features.',
    },
  },
]
