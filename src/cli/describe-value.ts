import type { CanaryRun, ProbeName, ProbeValues } from '../model/index.ts'
import { earliestExpiry, formatIsoTime } from '../diagnosis/notices.ts'
import { formatBytes } from '../text/bytes.ts'
import { formatRate, formatRoundTrip } from '../text/rate.ts'

/** Describes the value of a successful result in a few words. */
export const describeValue = (name: ProbeName, value: unknown): string => {
  // The value belongs to the probe of that name
  const describe = describers[name] as (value: unknown) => string
  return value === undefined || value === null ? '' : describe(value)
}

const describers: { readonly [P in ProbeName]: (value: ProbeValues[P]) => string } = {
  login: v =>
    `${v.via ?? 'ssh'}, host key ${describeHostKeyCheck(v)}${v.transport === 'openssh' ? ', through OpenSSH' : ''}${describeValidity(v)}`,
  trust: v =>
    `Nix ${v.nixVersion ?? 'of unknown version'}, ${v.trusted === null ? 'trust unknown' : 'trusted'}, ${v.protocol} protocol ${v.protocolVersion}`,
  system: v =>
    `${v.systems.join(' ')}; features ${v.features.slice(0, 8).join(' ') || 'none'}; max-jobs ${v.maxJobs ?? '?'}`,
  disk: ({ store, minFree }) => {
    const limit =
      minFree === 0 ? ', min-free off' : `, min-free ${formatBytes(minFree ?? 0)}`
    return `${formatBytes(store.availableBytes)} free on ${store.path}${minFree === null ? '' : limit}`
  },
  memory: v =>
    `${formatBytes(v.availableBytes ?? 0)} of ${formatBytes(v.sizeBytes ?? 0)} available`,
  locks: ({ gcLockHolder, buildUsersInUse, buildUsers }) =>
    `${buildUsersInUse}${buildUsers === null ? '' : ` of ${buildUsers}`} build users in use${gcLockHolder ? `, the garbage collector runs (process ${gcLockHolder.pid})` : ''}`,
  sessions: ({ sessions, orphanCount }) =>
    `${sessions} Nix ${sessions === 1 ? 'session' : 'sessions'}${orphanCount > 0 ? `, ${orphanCount} without a client` : ''}`,
  substituters: ({ checked }) =>
    checked
      .map(({ url, reason }) => `${url} ${reason === null ? 'answers' : reason}`)
      .join('; '),
  throughput: v =>
    `${formatRate(v.upload)} up, ${formatRate(v.download)} down, round trip ${formatRoundTrip(v.roundTripSeconds)}`,
  canary: v => v.runs.map(describeCanaryRun).join('; '),
  direct: v => v.runs.map(describeCanaryRun).join('; '),
  slots: v =>
    `${v.inUse.length} of ${v.configured} in use by this machine${v.upload.queue.length ? `, ${v.upload.queue.length} waiting to upload` : ''}${v.seesAllNamespaces ? '' : ' (as far as this container can see)'}`,
}

const describeCanaryRun = (run: CanaryRun): string => {
  const limitation = run.systemVerified ? '' : ' (system not verified)'
  return `${run.system}${run.feature ? ` with ${run.feature}` : ''} built by ${run.builtBy ?? '?'} in ${formatSeconds(run.durationSeconds)}${limitation}`
}

const describeHostKeyCheck = ({ hostKey }: ProbeValues['login']): string =>
  hostKey ? hostKeyChecks[hostKey.verifiedBy] : 'verified by ssh'

const hostKeyChecks = {
  pinned: 'matches the pinned key',
  known_hosts: 'found in known_hosts',
  ca: 'signed by a host CA',
  none: 'not verified',
} as const

const describeValidity = ({ certificates }: ProbeValues['login']): string => {
  const first = earliestExpiry(certificates)
  return first ? `, certificate valid until ${formatIsoTime(first.validUntil)}` : ''
}

/** Formats seconds as `85 ms` or `1.3 s`. */
export const formatSeconds = (value: number): string =>
  value < 1 ? `${Math.round(value * 1000)} ms` : `${value.toFixed(1)} s`
