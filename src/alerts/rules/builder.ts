import type { AlertRule } from '../rule.ts'
import {
  agesOf,
  inStates,
  is,
  newestByBuilder,
  unlessBuilderOf,
  unlessSuspect,
} from '../series.ts'
import { thresholds as t } from '../thresholds.ts'
import { canaryInterval, exceptSuspect, inState, perBuilder, why } from './promql.ts'

/** Whether a builder takes work. */
export const builderRules: readonly AlertRule[] = [
  {
    name: 'NixBuilderHostKeyChanged',
    expr: 'nix_builder_cause{kind="host_key_changed"} == 1',
    holds: series =>
      series.of('nix_builder_cause', { kind: 'host_key_changed' }).filter(is(1)),
    for: '0m',
    severity: 'critical',
    summary: 'The host key of a Nix builder has changed.',
    description:
      'The builder {{ $labels.builder }} shows another host key than the one that {{ $labels.instance }} knows: it was installed anew, or somebody is in between.',
    runbook: {
      means:
        'ssh refuses to connect, so no build goes there. Whoever answers may be an attacker who would receive sources and answer with binaries.',
      look: 'On the builder itself (by its console): ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub; compare it with the key in the status.',
      mend: 'Only where the fingerprints are equal: ssh-keygen -R HOST, then take the new key over. See host_key_changed.',
    },
  },
  {
    name: 'NixBuilderDown',
    expr: `nix_builder_state{state="down"} == 1 unless ${perBuilder} (nix_builder_cause{kind="host_key_changed"} == 1)`,
    holds: series =>
      unlessBuilderOf(
        series.of('nix_builder_state', { state: 'down' }).filter(is(1)),
        series.of('nix_builder_cause', { kind: 'host_key_changed' }).filter(is(1)),
      ),
    for: '5m',
    severity: 'warning',
    summary: 'A Nix builder cannot take work.',
    description:
      'The builder {{ $labels.builder }} has been down for more than five minutes, as {{ $labels.instance }} sees it.',
    runbook: {
      means:
        'Builds are not sent there, or fail there. The verdict is damped: it was seen at least twice.',
      look: `${why} nix_builder_cause has kind and side.`,
      mend: 'Follow the hint of the cause; builder-monitor explain KIND says more.',
    },
  },
  {
    name: 'NixBuilderUnknown',
    expr: `nix_builder_state{state="unknown"} == 1 ${exceptSuspect}`,
    holds: series =>
      unlessSuspect(
        series,
        series.of('nix_builder_state', { state: 'unknown' }).filter(is(1)),
      ),
    for: '30m',
    severity: 'warning',
    summary: 'Nothing is known of a Nix builder.',
    description:
      'For half an hour {{ $labels.instance }} could not tell whether the builder {{ $labels.builder }} works.',
    runbook: {
      means:
        'No probe was conclusive: the builder turns logins away for being busy, or waits after refused keys, or the monitor does not come to its work.',
      look: `${why} nix_builder_probe_run_timestamp_seconds tells whether it is asked at all.`,
      mend: 'Where sshd is crowded raise MaxStartups there; where keys are refused mend the key.',
    },
  },
  {
    name: 'NixBuilderUnproven',
    expr: `(time() - max by (instance, job, builder) (nix_builder_probe_success_timestamp_seconds{probe=~"canary|direct"})) > on (instance, job) group_left () (${t.unprovenIntervals} * ${canaryInterval}) unless ${perBuilder} ${inState('down|drained|asleep')}`,
    holds: series => {
      const interval = series.one('builder_monitor_probe_interval_seconds', {
        probe: 'canary',
      })
      const success = 'nix_builder_probe_success_timestamp_seconds'
      const proofs = [
        ...series.of(success, { probe: 'canary' }),
        ...series.of(success, { probe: 'direct' }),
      ]
      return unlessBuilderOf(
        agesOf(series, newestByBuilder(proofs)).filter(
          ({ value }) => interval !== undefined && value > t.unprovenIntervals * interval,
        ),
        inStates(series, ['down', 'drained', 'asleep']),
      )
    },
    for: '15m',
    severity: 'warning',
    summary: 'No build has proved a Nix builder for long.',
    description:
      'The last canary build on {{ $labels.builder }} that succeeded is {{ $value | humanizeDuration }} ago.',
    runbook: {
      means:
        'Logins work, but nothing was built there: canaries are held back (no space, no free slot) or do not come to an end.',
      look: 'sudo builder-monitor check BUILDER --canary',
      mend: 'Where canaries are busy look at slots and at the space above min-free; where they fail follow their hint.',
    },
  },
  {
    name: 'NixBuilderFlapping',
    expr: 'nix_builder_flapping == 1',
    holds: series => series.of('nix_builder_flapping').filter(is(1)),
    for: '15m',
    severity: 'warning',
    summary: 'A Nix builder comes and goes.',
    description:
      'The state of {{ $labels.builder }} changes too often to believe any of it.',
    runbook: {
      means: 'More than four changes in half an hour, and not yet fifteen quiet minutes.',
      look: 'The timeline of the status page; changes(nix_builder_up[1h]).',
      mend: 'Usually the network, a reboot loop, or memory: look at the causes in the log (verdict changed).',
    },
  },
]
