import type { AlertRule } from '../rule.ts'
import {
  toAges,
  buildersInStates,
  valueIs,
  maxByBuilder,
  excludeBuildersIn,
  emptyIfSelfCheckFailed,
} from '../sample-set.ts'
import { thresholds as t } from '../thresholds.ts'
import {
  canaryInterval,
  unlessSelfCheckFailed,
  inState,
  perBuilder,
  seeStatus,
} from './promql.ts'

/** Whether a builder takes work. */
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
    summary: 'The host key of a Nix builder has changed.',
    description:
      'The builder {{ $labels.builder }} shows another host key than the one that {{ $labels.instance }} knows: it was installed anew, or somebody is in between.',
    runbook: {
      meaning:
        'ssh refuses to connect, so no build goes there. Whoever answers may be an attacker who would receive sources and answer with binaries.',
      diagnosis:
        'On the builder itself (by its console): ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub; compare it with the key in the status.',
      fix: 'Only where the fingerprints are equal: ssh-keygen -R HOST, then take the new key over. See host_key_changed.',
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
    for: '5m',
    severity: 'warning',
    summary: 'A Nix builder cannot take work.',
    description:
      'The builder {{ $labels.builder }} has been down for more than five minutes, as {{ $labels.instance }} sees it.',
    runbook: {
      meaning:
        'Builds are not sent there, or fail there. The verdict is damped: it was seen at least twice.',
      diagnosis: `${seeStatus} nix_builder_cause has kind and side.`,
      fix: 'Follow the hint of the cause; builder-monitor explain KIND says more.',
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
    for: '30m',
    severity: 'warning',
    summary: 'Nothing is known of a Nix builder.',
    description:
      'For half an hour {{ $labels.instance }} could not tell whether the builder {{ $labels.builder }} works.',
    runbook: {
      meaning:
        'No probe was conclusive: the builder turns logins away for being busy, or waits after refused keys, or the monitor does not come to its work.',
      diagnosis: `${seeStatus} nix_builder_probe_run_timestamp_seconds tells whether it is asked at all.`,
      fix: 'Where sshd is crowded raise MaxStartups there; where keys are refused mend the key.',
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
    for: '15m',
    severity: 'warning',
    summary: 'No build has proved a Nix builder for long.',
    description:
      'The last canary build on {{ $labels.builder }} that succeeded is {{ $value | humanizeDuration }} ago.',
    runbook: {
      meaning:
        'Logins work, but nothing was built there: canaries are held back (no space, no free slot) or do not come to an end.',
      diagnosis: 'sudo builder-monitor check BUILDER --canary',
      fix: 'Where canaries are busy look at slots and at the space above min-free; where they fail follow their hint.',
    },
  },
  {
    name: 'NixBuilderFlapping',
    expr: 'nix_builder_flapping == 1',
    evaluate: samples => samples.select('nix_builder_flapping').filter(valueIs(1)),
    for: '15m',
    severity: 'warning',
    summary: 'A Nix builder comes and goes.',
    description:
      'The state of {{ $labels.builder }} changes too often to believe any of it.',
    runbook: {
      meaning:
        'More than four changes in half an hour, and not yet fifteen quiet minutes.',
      diagnosis: 'The timeline of the status page; changes(nix_builder_up[1h]).',
      fix: 'Usually the network, a reboot loop, or memory: look at the causes in the log (verdict changed).',
    },
  },
]
