import { randomBytes } from 'node:crypto'
import type {
  Builder,
  CanaryValue,
  Outcome,
  Probe,
  ProbeContext,
  RunResult,
  Sample,
} from '../model.ts'
import { stateOf, type Kind, type Params } from '../diagnosis/kinds.ts'
import { classify } from '../diagnosis/messages.ts'
import { ownLine } from '../nix/edit-machine-line.ts'
import { plainText } from '../nix/internal-json.ts'
import { evidenceOf, oneLine } from '../diagnosis/text.ts'
import { canaryExpression, type CanaryRequest } from './canary-derivation.ts'
import { summarizeBuilds, type OneBuild } from './canary-summary.ts'
import { openWorkshop, type CanaryMode, type Workshop } from './canary-workshop.ts'
import { createBuildWatch, type BuildWatch } from './canary-watch.ts'

export interface CanaryDeps {
  /** Whether each advertised feature is proven by a build of its own, too. */
  readonly provesFeatures: () => boolean
  readonly env: Readonly<Record<string, string | undefined>>
  /** Whether the nix-daemon of this machine lets us aim a build. */
  readonly askLocalDaemon: (
    signal: AbortSignal,
  ) => Promise<
    | { readonly answers: true; readonly trusted: boolean }
    | { readonly answers: false; readonly reason: string }
  >
}

/** Wall clock of all canary builds of one attempt: Nix's own time-outs do not reach remote builds (seen with 2.8, 2.26 and 2.34). */
const timeoutMs = 60_000

/**
 * Builds something that no cache has on this builder alone, once for each advertised system. `private` keeps to a store
 * of its own and works for any user; `daemon` goes through the local nix-daemon, with the identity of real builds.
 */
export const createCanaryProbe = (
  mode: CanaryMode,
  { env, askLocalDaemon, provesFeatures }: CanaryDeps,
): Probe<'canary'> => ({
  name: 'canary',
  summary: 'a real build is done there, for each advertised system',
  timeoutMs,
  run: async context => {
    if (context.nix.version === null)
      return { status: 'skipped', kind: 'no_local_nix', params: {} }
    if (mode === 'daemon') {
      const daemon = await askLocalDaemon(context.signal)
      // Without trust the daemon ignores --builders and chooses a machine by itself: that would prove nothing
      if (!daemon.answers || !daemon.trusted)
        return {
          status: 'skipped',
          kind: 'client_untrusted',
          params: {
            detail: daemon.answers
              ? ''
              : `the daemon does not answer: ${oneLine(daemon.reason)}`,
          },
        }
    }
    const workshop = await openWorkshop(mode, env, context)
    try {
      return await buildAll(workshop, context, provesFeatures())
    } finally {
      await workshop.remove()
    }
  },
  samples: canarySamples,
})

/** Which advertised systems were built for. */
export const canarySamples = (value: CanaryValue, builder: Builder): readonly Sample[] =>
  value.runs
    .filter(run => run.feature === undefined && run.outcome !== 'busy')
    .map(run => ({
      family: 'nix_builder_canary_available',
      labels: { builder: builder.name, system: run.system },
      value: run.outcome === 'ok' ? 1 : 0,
    }))

const buildAll = async (
  workshop: Workshop,
  context: ProbeContext,
  provesFeatures: boolean,
): Promise<Outcome<CanaryValue>> => {
  const { builder } = context
  const nonce = `${Math.floor(context.clock.now())}-${randomBytes(8).toString('hex')}`
  const seed = await workshop.seed(nonce)
  if ('failure' in seed) {
    const { stderr } = seed.failure
    return {
      status: context.signal.aborted ? 'skipped' : 'failed',
      kind: context.signal.aborted ? 'not_told' : 'hook_broken',
      params: {
        detail: `the local Nix cannot make what the canary needs: ${oneLine(lastLine(plainText(stderr)))}`,
      },
      evidence: evidenceOf(plainText(stderr)),
    }
  }

  const builds: OneBuild[] = []
  const systems = builder.systems.length ? builder.systems : [context.nix.system]
  const features = provesFeatures ? builder.supportedFeatures : []
  const wanted: Wanted[] = [
    ...systems.map(system => ({ system })),
    ...features.map(feature => ({ system: systems[0] ?? context.nix.system, feature })),
  ]
  for (const one of wanted) {
    builds.push(await buildOne(workshop, context, { nonce, seed: seed.expression }, one))
    if (context.signal.aborted) break
  }
  return summarizeBuilds(builds)
}

/** What all builds of one canary have in common. */
type Needs = Pick<CanaryRequest, 'nonce' | 'seed'>

/** What one build is to prove: a system, or a feature on it. */
interface Wanted {
  readonly system: string
  readonly feature?: string
}

const buildOne = async (
  workshop: Workshop,
  context: ProbeContext,
  needs: Needs,
  wanted: Wanted,
): Promise<OneBuild> => {
  const shell = await attempt(workshop, context, needs, wanted, 'shell')
  const noShell = /executing '\/bin\/sh': No such file or directory/.test(shell.evidence)
  return noShell && !context.signal.aborted
    ? attempt(workshop, context, needs, wanted, 'builtin')
    : shell
}

const attempt = async (
  workshop: Workshop,
  context: ProbeContext,
  { nonce, seed }: Needs,
  { system, feature }: Wanted,
  by: 'shell' | 'builtin',
): Promise<OneBuild> => {
  const { builder, clock, signal } = context
  const started = clock.monotonic()
  const watch = createBuildWatch(() => (clock.monotonic() - started) / 1000)
  signal.addEventListener('abort', watch.freeze, { once: true })
  const features = [...builder.mandatoryFeatures, ...(feature ? [feature] : [])]
  const expression = canaryExpression({ nonce, seed, system, features, builder: by })
  const result = await workshop.build(
    expression,
    [
      '--max-jobs',
      '0',
      '--builders',
      workshop.mode === 'private' ? ownLine(builder) : builder.line,
    ],
    line => watch.line(line),
  )
  const seen = watch.seen()
  const out = result.code === 0 ? await workshop.readOutput(result.stdout, by) : null
  const hostName =
    by === 'shell'
      ? out?.startsWith(`${nonce} `)
        ? out.slice(nonce.length + 1)
        : null
      : null
  const proven =
    result.code === 0 &&
    seen.machine !== null &&
    (by === 'shell' ? hostName !== null : out !== null)
  const verdict = proven ? null : nameFailure(result, watch, signal)
  return {
    params: verdict?.params ?? {},
    evidence: verdict ? evidenceOf(seen.text || result.stderr) : '',
    run: {
      system,
      ...(feature ? { feature } : {}),
      mode: workshop.mode,
      builtBy:
        hostName && hostName !== 'unknown' && hostName !== 'localhost'
          ? oneLine(hostName, 80)
          : seen.machine,
      durationSeconds: (clock.monotonic() - started) / 1000,
      phases: seen.phases,
      systemProven: proven && by === 'shell',
      outcome: proven ? 'ok' : verdict?.busy ? 'busy' : 'failed',
      ...(verdict ? { kind: verdict.kind } : {}),
    },
  }
}

const nameFailure = (
  result: RunResult,
  watch: BuildWatch,
  signal: AbortSignal,
): { kind: Kind; params: Params; busy?: boolean } => {
  const seen = watch.seen()
  if (result.spawnError)
    return { kind: 'no_local_nix', params: { detail: result.spawnError } }
  if (signal.aborted) {
    if (seen.waitsFor) return { kind: seen.waitsFor, params: {}, busy: true }
    const told = classify(seen.text)
    if (told && told.kind !== 'build_failed') return told
    return {
      kind: 'build_timeout',
      params: { detail: `it hangs ${seen.stage}`, hangs: seen.stage },
    }
  }
  if (result.code === 0)
    return {
      kind: 'build_failed',
      params: { detail: 'Nix reports success, but the output is not from this builder' },
    }
  const told = classify(seen.text) ?? classify(result.stderr)
  // Our own login goes through the same sshd and decides whether it is closed; one ssh more is turned away by a crowd
  if (told?.kind === 'sshd_closed')
    return { kind: 'sshd_throttled', params: told.params, busy: true }
  // Turned away by a crowd at sshd, or held up: nobody's fault
  if (told && stateOf(told.kind) === 'info') return { ...told, busy: true }
  return (
    told ?? {
      kind: 'unclassified',
      params: { detail: oneLine(lastLine(plainText(result.stderr))) },
    }
  )
}

const lastLine = (text: string): string => text.trim().split('\n').at(-1) ?? ''
