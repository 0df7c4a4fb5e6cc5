import type { AlertRule } from '../rule.ts'
import { is, unlessSuspect } from '../series.ts'
import { exceptSuspect } from './promql.ts'

/** The fleet as a whole, and this machine. */
export const fleetRules: readonly AlertRule[] = [
  {
    name: 'NixNoBuilderForSystem',
    expr: `nix_builders_available{feature=""} == 0 ${exceptSuspect}`,
    holds: series =>
      unlessSuspect(
        series,
        series.of('nix_builders_available', { feature: '' }).filter(is(0)),
      ),
    for: '5m',
    severity: 'critical',
    summary: 'No builder can build for a system.',
    description:
      'None of the builders that {{ $labels.instance }} knows is proven able to build for {{ $labels.system }} now.',
    runbook: {
      means:
        'Builds for this system wait for ever, fail, or run on this machine. Every builder that is configured for the system is down, unproven or drained.',
      look: 'sudo builder-monitor status; nix_builder_state and nix_builder_cause of the builders with that system.',
      mend: 'Mend one builder of that system first; each has its cause with a hint. If none shall exist any more, take its lines out of the builders list.',
    },
  },
  {
    name: 'NixClientNotReady',
    expr: 'nix_client_ready == 0',
    holds: series => series.of('nix_client_ready').filter(is(0)),
    spokenBy: 'nix_client_ready',
    for: '5m',
    severity: 'warning',
    summary: 'A machine cannot send builds to its Nix builders.',
    description:
      '{{ $labels.instance }} itself is not fit to send builds: the check {{ $labels.check }} fails.',
    runbook: {
      means:
        'The fault is on the machine that sends the builds, not on the builders; their alerts follow from it and are inhibited.',
      look: 'sudo builder-monitor status, section "This machine".',
      mend: 'Each check prints what to type.',
    },
  },
]
