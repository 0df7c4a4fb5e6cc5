import type { AlertRule } from '../rule.ts'
import { valueIs, emptyIfSelfCheckFailed } from '../sample-set.ts'
import { unlessSelfCheckFailed } from './promql.ts'

/** The fleet as a whole, and this machine. */
export const fleetRules: readonly AlertRule[] = [
  {
    name: 'NixNoBuilderForSystem',
    expr: `nix_builders_available{feature=""} == 0 ${unlessSelfCheckFailed}`,
    evaluate: samples =>
      emptyIfSelfCheckFailed(
        samples,
        samples.select('nix_builders_available', { feature: '' }).filter(valueIs(0)),
      ),
    for: '5m',
    severity: 'critical',
    summary: 'No builder can build for a system.',
    description:
      'None of the builders that {{ $labels.instance }} knows is proven able to build for {{ $labels.system }} now.',
    runbook: {
      meaning:
        'Builds for this system wait for ever, fail, or run on this machine. Every builder that is configured for the system is down, unproven or drained.',
      diagnosis:
        'sudo builder-monitor status; nix_builder_state and nix_builder_cause of the builders with that system.',
      fix: 'Mend one builder of that system first; each has its cause with a hint. If none shall exist any more, take its lines out of the builders list.',
    },
  },
  {
    name: 'NixClientNotReady',
    expr: 'nix_client_ready == 0',
    evaluate: samples => samples.select('nix_client_ready').filter(valueIs(0)),
    sourceFamily: 'nix_client_ready',
    for: '5m',
    severity: 'warning',
    summary: 'A machine cannot send builds to its Nix builders.',
    description:
      '{{ $labels.instance }} itself is not fit to send builds: the check {{ $labels.check }} fails.',
    runbook: {
      meaning:
        'The fault is on the machine that sends the builds, not on the builders; their alerts follow from it and are inhibited.',
      diagnosis: 'sudo builder-monitor status, section "This machine".',
      fix: 'Each check prints what to type.',
    },
  },
]
