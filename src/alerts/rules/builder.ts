import type { AlertRule } from '../rule.ts'
import {
  toAges,
  buildersInStates,
  valueIs,
  maxByBuilder,
  excludeBuildersIn,
  excludeDrained,
  emptyIfSelfCheckFailed,
} from '../sample-set.ts'
import { thresholds as t } from '../thresholds.ts'
import {
  canaryInterval,
  unlessSelfCheckFailed,
  inState,
  perBuilder,
  seeStatus,
  unlessDrained,
} from './promql.ts'

/** Alerts about the state of one builder. */
export const builderRules: readonly AlertRule[] = [
  {
    name: 'NixBuilderHostKeyChanged',
    expr: 'nix_builder_cause{kind="host_key_changed"} == 1',
    evaluate: samples =>
      samples
        .select('nix_builder_cause', { kind: 'host_key_changed' })
        .filter(valueIs(1)),
    for: '0m',
    severity: 'critical',
    summary: 'The host key of a Nix builder changed.',
    description:
      'The builder {{ $labels.builder }} presents a different host key than the one known to {{ $labels.instance }}: it was reinstalled, or this is a man-in-the-middle attack.',
    runbook: {
      meaning:
        'ssh refuses to connect, so no build runs on this builder. If the connection is intercepted, the attacker would receive sources and could return manipulated binaries.',
      diagnosis:
        'On the console of the builder: `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub`. Compare the fingerprint with the one in the status.',
      fix: 'Only if the fingerprints are equal: `ssh-keygen -R HOST`, then accept the new key. See host_key_changed.',
    },
  },
  {
    name: 'NixBuilderDown',
    expr: `nix_builder_state{state="down"} == 1 unless ${perBuilder} (nix_builder_cause{kind="host_key_changed"} == 1)`,
    evaluate: samples =>
      excludeBuildersIn(
        samples.select('nix_builder_state', { state: 'down' }).filter(valueIs(1)),
        samples
          .select('nix_builder_cause', { kind: 'host_key_changed' })
          .filter(valueIs(1)),
      ),
    isInhibitedByClient: true,
    for: '5m',
    severity: 'warning',
    summary: 'A Nix builder is down.',
    description:
      'The builder {{ $labels.builder }} has been down for more than five minutes, as seen from {{ $labels.instance }}.',
    runbook: {
      meaning:
        'Nix cannot build on this builder. The state is debounced: at least two probes failed.',
      diagnosis: `${seeStatus} The labels of nix_builder_cause have its kind and side.`,
      fix: 'Run the fix that the status shows. `builder-monitor explain KIND` explains the cause.',
    },
  },
  {
    name: 'NixBuilderUnknown',
    expr: `nix_builder_state{state="unknown"} == 1 ${unlessSelfCheckFailed}`,
    evaluate: samples =>
      emptyIfSelfCheckFailed(
        samples,
        samples.select('nix_builder_state', { state: 'unknown' }).filter(valueIs(1)),
      ),
    isInhibitedByClient: true,
    for: '30m',
    severity: 'warning',
    summary: 'The state of a Nix builder is unknown.',
    description:
      '{{ $labels.instance }} has not been able to determine the state of the builder {{ $labels.builder }} for half an hour.',
    runbook: {
      meaning:
        'No probe was conclusive: the builder rejects logins because it is busy, or the monitor waits after a rejected key, or the monitor does not run its probes.',
      diagnosis: `${seeStatus} nix_builder_probe_run_timestamp_seconds shows when the builder was probed last.`,
      fix: 'If sshd is overloaded, raise MaxStartups on the builder. If the key is rejected, fix the key.',
    },
  },
  {
    name: 'NixBuilderUnverified',
    expr: `(time() - max by (instance, job, builder) (nix_builder_probe_success_timestamp_seconds{probe=~"canary|direct"})) > on (instance, job) group_left () (${t.unverifiedIntervals} * ${canaryInterval}) unless ${perBuilder} ${inState('down|drained|asleep')}`,
    evaluate: samples => {
      const interval = samples.selectValue('builder_monitor_probe_interval_seconds', {
        probe: 'canary',
      })
      const success = 'nix_builder_probe_success_timestamp_seconds'
      const successes = [
        ...samples.select(success, { probe: 'canary' }),
        ...samples.select(success, { probe: 'direct' }),
      ]
      return excludeBuildersIn(
        toAges(samples, maxByBuilder(successes)).filter(
          ({ value }) =>
            interval !== undefined && value > t.unverifiedIntervals * interval,
        ),
        buildersInStates(samples, ['down', 'drained', 'asleep']),
      )
    },
    isInhibitedByClient: true,
    for: '15m',
    severity: 'warning',
    summary: 'A Nix builder had no successful canary build recently.',
    description:
      'The last successful canary build on {{ $labels.builder }} was {{ $value | humanizeDuration }} ago.',
    runbook: {
      meaning:
        'Logins work, but no canary build succeeded: canary builds are skipped (no free space, no free slot) or do not finish.',
      diagnosis: '`sudo builder-monitor check BUILDER --canary`',
      fix: 'If canaries are busy, check the slots and the free space above min-free. If they fail, run the fix that the status shows.',
    },
  },
  {
    name: 'NixBuilderFlapping',
    expr: `nix_builder_flapping == 1 ${unlessDrained}`,
    evaluate: samples =>
      excludeDrained(samples, samples.select('nix_builder_flapping').filter(valueIs(1))),
    isInhibitedByClient: true,
    for: '15m',
    severity: 'warning',
    summary: 'A Nix builder is flapping.',
    description: 'The state of {{ $labels.builder }} changes too often to be reliable.',
    runbook: {
      meaning:
        'The state changed more than four times in half an hour and has not been stable for fifteen minutes since.',
      diagnosis: 'The timeline on the status page; changes(nix_builder_up[1h]).',
      fix: 'Usually the network, a reboot loop or memory. The log has the cause of each change (message "health changed").',
    },
  },
  {
    name: 'NixBuilderQuarantinedLong',
    expr: 'nix_builder_quarantined == 1',
    evaluate: samples => samples.select('nix_builder_quarantined').filter(valueIs(1)),
    for: '24h',
    severity: 'warning',
    summary: 'A Nix builder has been quarantined for a day.',
    description:
      '{{ $labels.instance }} has kept builds away from {{ $labels.builder }} for a day, because it fails.',
    runbook: {
      meaning:
        'The builder failed, and no build has verified it since. Builds do not suffer, but the fleet has fewer slots.',
      diagnosis: `${seeStatus} docs/quarantine.md describes when a quarantine ends.`,
      fix: 'Run the fix that the status shows. If the builder is out of service on purpose: `sudo builder-monitor drain BUILDER`',
    },
  },
]
