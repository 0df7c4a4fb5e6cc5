import type { AlertRule } from '../rule.ts'
import { valueIs, emptyIfSelfCheckFailed } from '../sample-set.ts'
import { unlessSelfCheckFailed } from './promql.ts'

/** Alerts about all builders together and about this machine. */
export const fleetRules: readonly AlertRule[] = [
  {
    name: 'NixNoBuilderForSystem',
    expr: `nix_builders_available{feature=""} == 0 ${unlessSelfCheckFailed}`,
    evaluate: samples =>
      emptyIfSelfCheckFailed(
        samples,
        samples.select('nix_builders_available', { feature: '' }).filter(valueIs(0)),
      ),
    isInhibitedByClient: true,
    for: '5m',
    severity: 'critical',
    summary: 'No Nix builder is available for a system.',
    description:
      'None of the builders of {{ $labels.instance }} is verified to build for {{ $labels.system }}.',
    runbook: {
      meaning:
        'Builds for this system wait forever, fail, or run on this machine. Every builder configured for the system is down, unverified or drained.',
      diagnosis:
        '`sudo builder-monitor status`; nix_builder_state and nix_builder_cause of the builders with that system.',
      fix: 'Fix one builder of that system first; the status shows the cause and the fix for each. If the system is no longer needed, remove its lines from the builders list.',
    },
  },
  {
    name: 'NixClientNotReady',
    expr: 'nix_client_ready == 0',
    evaluate: samples => samples.select('nix_client_ready').filter(valueIs(0)),
    sourceFamily: 'nix_client_ready',
    for: '5m',
    severity: 'warning',
    summary: 'This machine cannot send builds to its Nix builders.',
    description:
      '{{ $labels.instance }} cannot send builds: the check {{ $labels.check }} failed.',
    runbook: {
      meaning:
        'The fault is on the machine that sends the builds, not on the builders. Alerts for its builders are consequences and are inhibited.',
      diagnosis: '`sudo builder-monitor status`, section "This machine".',
      fix: 'Run the fix that the status shows for the failed check.',
    },
  },
]
