import type { CanaryRun, CanaryValue, Outcome } from '../model.ts'
import type { Params } from '../diagnosis/kinds.ts'

/** One build of a canary, for one system. */
export interface OneBuild {
  readonly run: CanaryRun
  readonly params: Params
  /** What was said, cleaned and capped; empty where it went well. */
  readonly evidence: string
}

/** One failing system of several leaves a builder that takes builds, but not as configured. */
export const summarizeBuilds = (builds: readonly OneBuild[]): Outcome<CanaryValue> => {
  const value: CanaryValue = { runs: builds.map(build => build.run) }
  const bad = builds.find(build => build.run.outcome !== 'ok')
  if (!bad) return { status: 'ok', value }
  const kind = bad.run.kind ?? 'unclassified'
  const works = builds.some(build => build.run.outcome === 'ok')
  if (bad.run.outcome === 'busy') return { status: 'busy', kind, params: bad.params }
  return {
    status: works ? 'degraded' : 'failed',
    kind,
    params: { ...bad.params, system: bad.run.system },
    ...(bad.evidence ? { evidence: bad.evidence } : {}),
    value,
  }
}
