import { probeNames, type BuilderState, type Sample, type Snapshot } from '../model.ts'
import { clientOutcomes, findingsOf } from '../diagnosis/report.ts'
import { isKind, kindNames, stateOf } from '../diagnosis/kinds.ts'
import { freshUntil, valueOf, type Moment } from './builder-samples.ts'
import type { FamilyName } from './families.ts'

/** What is told of the fleet, of this machine and of the monitor itself. */
export const readFleet = (
  snapshot: Snapshot,
  version: string,
  now: number,
): readonly Sample[] => {
  const { monitor } = snapshot
  return [
    ...available(snapshot, { now, intervals: monitor.intervals }),
    ...clientReady(snapshot),
    ...findings(snapshot),
    sample('builder_monitor_build_info', { version }, 1),
    ...probeNames.map(probe =>
      sample(
        'builder_monitor_probe_interval_seconds',
        { probe },
        monitor.intervals[probe],
      ),
    ),
    ...failures(monitor.failuresByKind),
    sample('builder_monitor_suspect', {}, monitor.suspect ? 1 : 0),
    sample(
      'builder_monitor_config_last_reload_successful',
      {},
      monitor.lastReloadOk ? 1 : 0,
    ),
    ...(monitor.stateFileOk === undefined
      ? []
      : [sample('builder_monitor_state_file_ok', {}, monitor.stateFileOk ? 1 : 0)]),
  ]
}

const sample = (family: FamilyName, labels: Sample['labels'], value: number): Sample => ({
  family,
  labels,
  value,
})

/** A check that told nothing has no series; a degraded one does not keep builds here. */
const clientReady = (snapshot: Snapshot): Sample[] =>
  Object.entries(clientOutcomes(snapshot)).flatMap(([check, { status }]) =>
    status === 'skipped'
      ? []
      : [sample('nix_client_ready', { check }, status === 'failed' ? 0 : 1)],
  )

const findings = (snapshot: Snapshot): Sample[] => {
  const counts = new Map([...snapshot.builders.keys()].map(name => [name, 0]))
  for (const { builder } of findingsOf(snapshot))
    if (builder !== undefined) counts.set(builder, (counts.get(builder) ?? 0) + 1)
  return [...counts].map(([builder, count]) =>
    sample('nix_builder_lint_findings', { builder }, count),
  )
}

/** All kinds that can make a builder down or degraded, and any other that was counted nevertheless. */
const failures = (counts: Snapshot['monitor']['failuresByKind']): Sample[] =>
  kindNames
    .filter(kind => stateOf(kind) !== 'info' || (isKind(kind) && counts[kind]))
    .map(kind => sample('builder_monitor_failures_total', { kind }, counts[kind] ?? 0))

/** Every system with every feature that the list promises; a zero is an outage that builds will feel. */
const available = ({ builders }: Snapshot, moment: Moment): Sample[] => {
  const counts = new Map<string, Map<string, number>>()
  for (const state of builders.values()) {
    const proven = provenSystems(state, moment)
    const missing = valueOf(state.probes.system?.lastGood)?.missingFeatures ?? []
    for (const system of new Set(state.builder.systems))
      for (const feature of promised(state.builder)) {
        const isAble = proven.has(system) && !missing.includes(feature)
        const bySystem = counts.get(system) ?? new Map<string, number>()
        counts.set(system, bySystem)
        bySystem.set(feature, (bySystem.get(feature) ?? 0) + (isAble ? 1 : 0))
      }
  }
  return [...counts].flatMap(([system, byFeature]) =>
    [...byFeature].map(([feature, count]) =>
      sample('nix_builders_available', { system, feature }, count),
    ),
  )
}

/** Features that a build may ask for alone and come here; '' is a build without any. Nix sends no other to mandatory ones. */
const promised = ({
  supportedFeatures,
  mandatoryFeatures,
}: BuilderState['builder']): ReadonlySet<string> =>
  new Set(
    ['', ...supportedFeatures, ...mandatoryFeatures].filter(feature =>
      mandatoryFeatures.every(mandatory => mandatory === feature),
    ),
  )

const provenSystems = (
  { probes, verdict }: BuilderState,
  { now, intervals }: Moment,
): ReadonlySet<string> => {
  const canary = probes.canary?.conclusive
  if (verdict.state !== 'healthy' && verdict.state !== 'degraded') return new Set()
  if (!canary || now > freshUntil(canary, intervals)) return new Set()
  return new Set(
    (valueOf(canary)?.runs ?? [])
      .filter(({ outcome, feature }) => outcome === 'ok' && feature === undefined)
      .map(({ system }) => system),
  )
}
