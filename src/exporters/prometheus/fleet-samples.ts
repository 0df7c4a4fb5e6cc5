import {
  probeNames,
  type Sample,
  type Snapshot,
  isKind,
  kindNames,
  releaseReasons,
  retainReasons,
  type QuarantineState,
} from '../../model/index.ts'
import { clientOutcomes } from '../../diagnosis/client-outcomes.ts'
import { collectFindings } from '../../diagnosis/report.ts'
import { kindSide, kindState } from '../../diagnosis/kinds/index.ts'
import { listCapabilities } from '../../diagnosis/capabilities.ts'
import type { FreshnessContext } from '../../diagnosis/freshness.ts'
import type { FamilyName } from './families.ts'

/** Returns the samples of all builders together, of this machine and of the monitor. */
export const collectFleetSamples = (
  snapshot: Snapshot,
  version: string,
  now: number,
): readonly Sample[] => [
  ...collectRuleInputs(snapshot, now),
  ...findingSamples(snapshot),
  sample('builder_monitor_build_info', { version }, 1),
  ...failureSamples(snapshot.monitor.failuresByKind),
  ...quarantineSamples(snapshot.quarantine?.countByKind ?? {}),
  ...(snapshot.monitor.stateFileOk === undefined
    ? []
    : [
        sample('builder_monitor_state_file_ok', {}, snapshot.monitor.stateFileOk ? 1 : 0),
      ]),
  ...alertSamples(snapshot),
]

/** Returns the cheap part of them: the families that alert rules use. */
export const collectRuleInputs = (snapshot: Snapshot, now: number): readonly Sample[] => {
  const { monitor } = snapshot
  return [
    ...availableSamples(snapshot, { now, intervals: monitor.intervals }),
    ...clientReadySamples(snapshot),
    ...probeNames.map(probe =>
      sample(
        'builder_monitor_probe_interval_seconds',
        { probe },
        monitor.intervals[probe],
      ),
    ),
    ...releasedSamples(snapshot),
    sample('builder_monitor_self_check_failed', {}, monitor.selfCheckFailed ? 1 : 0),
    sample(
      'builder_monitor_config_last_reload_successful',
      {},
      monitor.lastReloadOk ? 1 : 0,
    ),
  ]
}

const sample = (family: FamilyName, labels: Sample['labels'], value: number): Sample => ({
  family,
  labels,
  value,
})

/** Counts alerts by name, because each builder may have its own. */
const alertSamples = ({ alerts: known }: Snapshot): Sample[] => {
  const counts = new Map<string, { pending: number; firing: number }>()
  for (const { name, state } of known?.list ?? []) {
    if (state === 'resolved') continue
    const count = counts.get(name) ?? { pending: 0, firing: 0 }
    counts.set(name, count)
    count[state] += 1
  }
  return [...counts].flatMap(([alertname, count]) =>
    (['pending', 'firing'] as const).map(state =>
      sample('builder_monitor_alerts', { alertname, state }, count[state]),
    ),
  )
}

/** Skipped checks have no series. A degraded check does not prevent builds. */
const clientReadySamples = (snapshot: Snapshot): Sample[] =>
  Object.entries(clientOutcomes(snapshot)).flatMap(([check, { status }]) =>
    status === 'skipped'
      ? []
      : [sample('nix_client_ready', { check }, status === 'failed' ? 0 : 1)],
  )

const findingSamples = (snapshot: Snapshot): Sample[] => {
  const counts = new Map([...snapshot.builders.keys()].map(name => [name, 0]))
  for (const { builder } of collectFindings(snapshot))
    if (builder !== undefined) counts.set(builder, (counts.get(builder) ?? 0) + 1)
  return [...counts].map(([builder, count]) =>
    sample('nix_builder_lint_findings', { builder }, count),
  )
}

/** Returns all kinds that can make a builder down or degraded, and other kinds with a count. */
const failureSamples = (counts: Snapshot['monitor']['failuresByKind']): Sample[] =>
  kindNames
    .filter(kind => kindState(kind) !== 'info' || (isKind(kind) && counts[kind]))
    .map(kind => sample('builder_monitor_failures_total', { kind }, counts[kind] ?? 0))

/** Only what the builder or the network causes starts a quarantine. */
const quarantineSamples = (counts: QuarantineState['countByKind']): Sample[] =>
  kindNames
    .filter(
      kind => (kindState(kind) === 'down' && kindSide(kind) !== 'client') || counts[kind],
    )
    .map(kind => sample('builder_monitor_quarantines_total', { kind }, counts[kind] ?? 0))

/** A dry run keeps all builders in service on purpose. */
const releasedSamples = ({ builders, quarantine }: Snapshot): Sample[] => {
  const isOn = quarantine?.mode === 'on'
  const retained = new Set(
    [...builders.values()].map(state => state.quarantine?.retainedBy ?? null),
  )
  return [
    ...releaseReasons.map(reason => [reason, quarantine?.released === reason] as const),
    ...retainReasons.map(reason => [reason, retained.has(reason)] as const),
  ].map(([reason, isReason]) =>
    sample('builder_monitor_quarantine_released', { reason }, isOn && isReason ? 1 : 0),
  )
}

const availableSamples = (snapshot: Snapshot, context: FreshnessContext): Sample[] =>
  listCapabilities(snapshot, context).map(({ system, feature, verified }) =>
    sample('nix_builders_available', { system, feature }, verified.length),
  )
