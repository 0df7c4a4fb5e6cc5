import type { CanaryRun, CanaryValue, Outcome, Params } from '../../model/index.ts'

/** One canary build for one system or feature. */
export interface BuildAttempt {
  readonly run: CanaryRun
  readonly params: Params
  /** Sanitized and limited output; empty on success. */
  readonly evidence: string
}

/** Combines builds to one outcome. Degraded if only some builds failed. */
export const summarizeBuilds = (
  builds: readonly BuildAttempt[],
): Outcome<CanaryValue> => {
  const value: CanaryValue = { runs: builds.map(build => build.run) }
  const failedBuild = builds.find(build => build.run.outcome !== 'ok')
  if (!failedBuild) return { status: 'ok', value }
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
