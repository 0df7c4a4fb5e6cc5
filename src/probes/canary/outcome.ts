import type { CanaryRun, CanaryValue, Kind, Outcome, Params } from '../../model/index.ts'

/** One canary build for one system or feature. */
export interface BuildAttempt {
  readonly run: CanaryRun
  readonly params: Params
  /** Sanitized and limited output; empty on success. */
  readonly evidence: string
}

/**
 * Combines builds to one outcome. Degraded if only some builds failed, or if one took longer than `expectedSeconds`.
 */
export const summarizeBuilds = (
  builds: readonly BuildAttempt[],
  expectedSeconds: number,
): Outcome<CanaryValue> => {
  const value: CanaryValue = { runs: builds.map(build => build.run) }
  const failedBuild = builds.find(build => build.run.outcome !== 'ok')
  if (!failedBuild) return degradeIfSlow(value, expectedSeconds)
  const kind = failedBuild.run.kind ?? 'unclassified'
  const someSucceeded = builds.some(build => build.run.outcome === 'ok')
  if (failedBuild.run.outcome === 'busy')
    return { status: 'busy', kind, params: failedBuild.params }
  return {
    status: someSucceeded ? 'degraded' : 'failed',
    kind,
    params: { ...failedBuild.params, system: failedBuild.run.system },
    ...(failedBuild.evidence ? { evidence: failedBuild.evidence } : {}),
    value,
  }
}

const degradeIfSlow = (
  value: CanaryValue,
  expectedSeconds: number,
): Outcome<CanaryValue> => {
  const slow = value.runs.find(run => run.durationSeconds > expectedSeconds)
  if (!slow) return { status: 'ok', value }
  const phases = Object.entries(slow.phases).map(
    ([phase, seconds]) => `${phase.replace('_', ' ')} ${seconds.toFixed(1)} s`,
  )
  const detail = [`${slow.durationSeconds.toFixed(1)} s`, ...phases].join(', ')
  return { status: 'degraded', kind: slowKind(slow), params: { detail }, value }
}

/** Returns what takes the longest: the login, the link or the build. */
const slowKind = ({ phases, durationSeconds }: CanaryRun): Kind => {
  const { connect = 0, copy = 0, copy_back: copyBack = 0 } = phases
  if (connect > durationSeconds / 2) return 'slow_login'
  return copy + copyBack > durationSeconds / 2 ? 'slow_link' : 'slow_build'
}
