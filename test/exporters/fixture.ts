/** Snapshots for tests and a server for them; the fleet has every state. */
import { startHttpServer } from '../../src/exporters/http/http-server.ts'
import { createRequestHandler } from '../../src/exporters/http/request-handler.ts'
import type { Exporter } from '../../src/exporters/exporter.ts'
import type { CollectSamples } from '../../src/exporters/prometheus/builder-samples.ts'
import { silentLog } from '../../src/log/log.ts'
import { computeFingerprint } from '../../src/alerts/labels.ts'
import {
  probeNames,
  type Alert,
  type Builder,
  type BuilderState,
  type CanaryValue,
  type DiskValue,
  type LocksValue,
  type LoginValue,
  type MemoryValue,
  type Outcome,
  type ProbeName,
  type ProbeRecord,
  type ProbeRecords,
  type ProbeValues,
  type SessionsValue,
  type SlotsValue,
  type SubstitutersValue,
  type ThroughputValue,
  type Snapshot,
  type SnapshotListener,
  type SystemValue,
  type TrustValue,
  type Health,
  type View,
} from '../../src/model/index.ts'
import { slotsSamples } from '../../src/probes/slots.ts'
import { createCanaryProbe } from '../../src/probes/canary.ts'
import {
  loginProbes,
  slowTelemetryProbes,
  telemetryProbes,
} from '../../src/probes/index.ts'
import { createThroughputProbe } from '../../src/probes/throughput.ts'

/** A time at which all results below are fresh. */
export const now = 1_800_000_000

// Used only for its samples; it never runs
const canary = createCanaryProbe('private', {
  builder: { systems: [], supportedFeatures: [] },
  isDemo: false,
  env: {},
  testsFeatures: () => false,
  askLocalDaemon: async () => ({ answers: false, reason: 'a test' }),
})

/** The collectors that the daemon passes to the exporter. */
export const samplesOf: CollectSamples = ({ probe, outcome }, builder) => {
  if (!('value' in outcome)) return []
  const all = [
    ...loginProbes,
    ...telemetryProbes,
    ...slowTelemetryProbes,
    createThroughputProbe({ minBytesPerSecond: () => 0 }),
    canary,
    { name: 'slots', samples: slotsSamples },
  ]
  const source = all.find(({ name }) => name === probe) as
    { samples(value: unknown, builder: Builder): ReturnType<CollectSamples> } | undefined
  return source?.samples(outcome.value, builder) ?? []
}

export const builderOf = (name: string, change: Partial<Builder> = {}): Builder => ({
  name,
  storeUri: `ssh-ng://nix@${name}`,
  scheme: 'ssh-ng',
  user: 'nix',
  host: name,
  port: null,
  params: {},
  systems: ['x86_64-linux'],
  sshKey: '/etc/nix/builder_ed25519',
  maxJobs: 8,
  speedFactor: 2,
  supportedFeatures: ['big-parallel', 'kvm'],
  mandatoryFeatures: [],
  publicHostKey: null,
  origin: { file: '/etc/nix/machines', line: 1 },
  line: `ssh-ng://nix@${name} x86_64-linux /etc/nix/builder_ed25519 8 2 big-parallel,kvm - -`,
  ...change,
})

export const loginValue: LoginValue = {
  phases: {
    dns: 0.0004,
    tcp: 0.0121,
    banner: 0.014,
    kex: 0.031,
    auth: 0.024,
    channel: 0.012,
  },
  via: '192.0.2.7:22',
  hostKey: {
    type: 'ssh-ed25519',
    fingerprint: 'SHA256:abc',
    blob: '',
    verifiedBy: 'known_hosts',
  },
  transport: 'ssh2',
  unreachableAddresses: [],
  endpoint: '192.0.2.7:22',
  certificates: [
    {
      role: 'user',
      source: '/etc/nix/key-cert.pub',
      validFrom: null,
      validUntil: now + 30 * 86_400,
    },
  ],
}
export const trustValue: TrustValue = {
  protocol: 'worker',
  protocolVersion: '1.38',
  nixVersion: '2.36.0',
  trusted: true,
  trustSource: 'handshake',
}
export const systemValue: SystemValue = {
  isOwnStore: null,
  redirectedBy: [],
  determinateVersion: null,
  nixVersion: '2.36.0',
  systems: ['x86_64-linux', 'i686-linux'],
  features: ['big-parallel', 'kvm'],
  maxJobs: 8,
  buildUsers: 32,
  sandbox: 'true',
  cores: 0,
  minFree: 5 * 2 ** 30,
  maxFree: 20 * 2 ** 30,
  clockOffsetSeconds: 0,
  bootedAt: now - 864_000,
  rebootDetectedAt: null,
  kernel: 'Linux 6.12',
  missingSystems: [],
  missingFeatures: [],
  notAdvertisedFeatures: [],
  isAllowedUser: true,
}
export const diskValue: DiskValue = {
  store: {
    path: '/nix/store',
    availableBytes: 181 * 2 ** 30,
    sizeBytes: 466 * 2 ** 30,
    availableInodes: 21_000_000,
  },
  build: { path: '/tmp', availableBytes: 9e9, sizeBytes: 1e10, availableInodes: 1e6 },
  state: { path: '/nix/var', availableBytes: 9e9, sizeBytes: 1e10, availableInodes: 1e6 },
  log: null,
  minFree: 5 * 2 ** 30,
  maxFree: 20 * 2 ** 30,
  belowMinFreeSince: null,
}
export const memoryValue: MemoryValue = {
  availableBytes: 48e9,
  sizeBytes: 64e9,
  stalledSeconds: 12.5,
  load: 1.5,
  daemonBytes: 3e9,
  daemonLimitBytes: 60e9,
  daemonOomKills: 0,
}
export const locksValue: LocksValue = {
  at: now,
  storeLockHolder: null,
  gcLockHolder: {
    pid: 77,
    program: 'nix-store --gc',
    runtimeSeconds: 90,
    since: now - 60,
  },
  buildUsersInUse: 3,
  buildUsers: 32,
}
export const sessionsValue: SessionsValue = {
  sessions: 4,
  orphans: [],
  orphanCount: 0,
}
export const substitutersValue: SubstitutersValue = {
  checked: [
    { url: 'https://cache.nixos.org', reason: null },
    { url: 'http://cache.example', reason: null },
  ],
}
export const throughputValue: ThroughputValue = {
  roundTripSeconds: 0.012,
  upload: 11e6,
  download: 12e6,
  limit: 1024 ** 2,
  usual: { upload: 10e6, download: 12e6 },
}
export const canaryValue: CanaryValue = {
  runs: [
    {
      system: 'x86_64-linux',
      mode: 'private',
      builtBy: 'b',
      durationSeconds: 2.1,
      phases: { connect: 0.4, copy: 0.5, build: 0.2, copy_back: 0.3 },
      systemVerified: true,
      outcome: 'ok',
    },
  ],
}
export const slotsValue: SlotsValue = {
  configured: 8,
  inUse: [{ slot: 0, pid: 4711, since: now - 600 }],
  oldestAcquiredAt: now - 600,
  upload: { holder: 4711, queue: [4712] },
  seesAllNamespaces: true,
}
const values = {
  login: loginValue,
  trust: trustValue,
  system: systemValue,
  disk: diskValue,
  memory: memoryValue,
  locks: locksValue,
  sessions: sessionsValue,
  substituters: substitutersValue,
  throughput: throughputValue,
  canary: canaryValue,
  slots: slotsValue,
} satisfies Partial<ProbeValues>
type Measured = keyof typeof values

/** A record with this newest outcome. */
export const recordOf = <P extends ProbeName>(
  probe: P,
  outcome: Outcome<ProbeValues[P]>,
  at = now - 10,
  before?: ProbeRecord<ProbeValues[P]>,
): ProbeRecord<ProbeValues[P]> => {
  const result = { probe, outcome, at, durationSeconds: 0.0935 }
  const good = outcome.status === 'ok' || outcome.status === 'degraded'
  const counts = good || outcome.status === 'failed'
  return {
    last: result,
    conclusive: counts ? result : (before?.conclusive ?? null),
    lastSuccess: good ? result : (before?.lastSuccess ?? null),
    attempts: (before?.attempts ?? 41) + (counts ? 1 : 0),
    failures: (before?.failures ?? 3) + (counts && !good ? 1 : 0),
    streak: { ok: good, count: 1, since: at },
  }
}

export const ok = <P extends Measured>(probe: P, at?: number) =>
  recordOf(probe, { status: 'ok', value: values[probe] as ProbeValues[P] }, at)

export const allOk = (at?: number): ProbeRecords =>
  Object.fromEntries(
    (Object.keys(values) as Measured[]).map(probe => [probe, ok(probe, at)]),
  )

export const stateOf = (
  builder: Builder,
  probes: ProbeRecords = allOk(),
  health: Partial<Health> = {},
): BuilderState => ({
  builder,
  probes,
  health: {
    state: 'healthy',
    cause: null,
    since: now - 11_520,
    changes: 1,
    flapping: false,
    verified: true,
    ...health,
  },
  changedAt: [],
  history: {},
  failures: [],
})

/** NixBuilderDown of a builder, firing for a minute. */
export const alertOf = (builder: string, change: Partial<Alert> = {}): Alert => {
  const labels = change.labels ?? {
    alertname: 'NixBuilderDown',
    builder,
    instance: 'client:10922',
    job: 'builder-monitor',
    severity: 'warning',
    state: 'down',
  }
  return {
    name: 'NixBuilderDown',
    annotations: { summary: 'A Nix builder is down.', description: builder },
    state: 'firing',
    value: 1,
    activeAt: now - 360,
    startsAt: now - 60,
    endsAt: null,
    generatorUrl: `http://client:10922/builders/${builder}`,
    ...change,
    labels,
    fingerprint: computeFingerprint(labels),
  }
}

export const snapshotOf = (
  builders: readonly BuilderState[],
  change: Partial<Snapshot> = {},
): Snapshot => ({
  version: 7,
  at: now,
  source: 'nix',
  builders: new Map(builders.map(state => [state.builder.name, state])),
  problems: [],
  monitor: {
    startedAt: now - 90_000,
    selfCheckFailed: false,
    lastReloadOk: true,
    stateFileOk: true,
    failuresByKind: { tcp_refused: 4 },
    intervals: {
      ...(Object.fromEntries(probeNames.map(probe => [probe, 1800])) as Record<
        ProbeName,
        number
      >),
      login: 120,
      trust: 120,
      system: 300,
      disk: 30,
      memory: 30,
      locks: 30,
    },
    ready: true,
  },
  ...change,
})

/** A view whose snapshot the test can replace. */
export const viewOf = (first: Snapshot): View & { set(next: Snapshot): void } => {
  let snapshot = first
  const listeners = new Set<SnapshotListener>()
  return {
    read: () => snapshot,
    subscribe: listener => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    set: next => {
      const before = snapshot
      snapshot = next
      const names = new Set([...before.builders.keys(), ...next.builders.keys()])
      const builders = new Set(
        [...names].filter(name => before.builders.get(name) !== next.builders.get(name)),
      )
      for (const listener of listeners) listener(next, { builders })
    },
  }
}

/** Serves exporters over a view on a port of the loopback interface. */
export const serve = async (view: View, ...exporters: readonly Exporter[]) => {
  const routes = exporters.flatMap(exporter => exporter.routes?.(view) ?? [])
  const site = createRequestHandler({ routes, log: silentLog })
  const server = await startHttpServer({ host: '127.0.0.1', port: 0 }, site)
  const url = `http://${server.address}`
  return {
    url,
    close: () => server.close(),
    get: async (path: string, headers: Record<string, string> = {}) => {
      const response = await fetch(url + path, { headers })
      return {
        status: response.status,
        type: response.headers.get('content-type'),
        headers: response.headers,
        body: await response.text(),
      }
    },
  }
}
