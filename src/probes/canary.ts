import { randomBytes } from 'node:crypto'
import type {
  AskLocalDaemon,
  Builder,
  CanaryValue,
  Outcome,
  Probe,
  ProbeContext,
  Sample,
} from '../model/index.ts'
import type { LocalTrouble } from '../diagnosis/local-trouble.ts'
import { editMachine, lineWithCredential } from '../nix/machines/edit-machine-line.ts'
import { truncateEvidence, oneLine } from '../text/truncate.ts'
import { canaryExpression } from './canary/derivation.ts'
import { summarizeBuilds, type BuildAttempt } from './canary/outcome.ts'
import {
  createCanarySandbox,
  type CanaryMode,
  type SeedOf,
  type CanarySandbox,
} from './canary/sandbox.ts'
import { createBuildLogParser } from './canary/build-log.ts'
import { classifyFailure, isLocalFailure, localFailure } from './canary/failure.ts'

export interface CanaryDeps {
  readonly builder: Pick<Builder, 'systems' | 'supportedFeatures'>
  /** Whether each advertised feature is also verified by its own build. */
  readonly testsFeatures: () => boolean
  /** True for the demo fleet, which the local Nix cannot reach. */
  readonly isDemo: boolean
  readonly env: Readonly<Record<string, string | undefined>>
  /** Reports whether the local nix-daemon lets us select the builder. */
  readonly askLocalDaemon: AskLocalDaemon
}

/**
 * Hard deadline of each canary build, milliseconds: Nix's own timeouts do not apply to remote builds (2.8, 2.26 and 2.34).
 * A working builder that needs longer than the expected time is slow.
 */
const buildTimeoutMs = 75_000
export const expectedBuildMs = 30_000

/**
 * Creates the probe that builds a derivation that no cache has, only on this builder, once for each advertised system.
 * `private` uses a temporary store and works for any user; `daemon` uses the local nix-daemon, as real builds do.
 */
export const createCanaryProbe = (
  mode: CanaryMode,
  { builder, env, askLocalDaemon, testsFeatures, isDemo }: CanaryDeps,
): Probe<'canary'> => ({
  name: 'canary',
  summary: 'a real build succeeds for each advertised system',
  timeoutMs:
    (1 + builder.systems.length + builder.supportedFeatures.length) * buildTimeoutMs,
  run: async context => {
    if (isDemo)
      return {
        status: 'skipped',
        kind: 'not_applicable',
        params: { detail: 'the demo builds no canaries' },
      }
    if (context.nix.version === null)
      return { status: 'skipped', kind: 'no_local_nix', params: {} }
    if (mode === 'daemon') {
      const daemon = await askLocalDaemon(context.signal)
      // Without trust the daemon ignores --builders and chooses a machine itself, which verifies nothing
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
    const sandbox = await createCanarySandbox(mode, env, context)
    try {
      return await buildAll(sandbox, context, testsFeatures())
    } finally {
      await sandbox.remove()
    }
  },
  samples: canarySamples,
})

/** Returns the result of each advertised system. */
export const canarySamples = (value: CanaryValue, builder: Builder): readonly Sample[] =>
  value.runs
    .filter(run => run.feature === undefined && run.outcome !== 'busy')
    .map(run => ({
      family: 'nix_builder_canary_available',
      labels: { builder: builder.name, system: run.system },
      value: run.outcome === 'ok' ? 1 : 0,
    }))

const buildAll = async (
  sandbox: CanarySandbox,
  context: ProbeContext,
  testsFeatures: boolean,
): Promise<Outcome<CanaryValue>> => {
  const { builder } = context
  const nonce = `${Math.floor(context.clock.now())}-${randomBytes(8).toString('hex')}`
  const systems = builder.systems.length ? builder.systems : [context.nix.system]
  const seed = await sandbox.createSeed(nonce, systems)
  if ('failure' in seed) return localFailure(seed.failure)

  const builds: BuildAttempt[] = []
  const features = testsFeatures ? builder.supportedFeatures : []
  const targets: BuildTarget[] = [
    ...systems.map(system => ({ system })),
    ...features.map(feature => ({ system: systems[0] ?? context.nix.system, feature })),
  ]
  for (const target of targets) {
    const signal = AbortSignal.any([context.signal, AbortSignal.timeout(buildTimeoutMs)])
    const common = { nonce, seedOf: seed.seedOf }
    const build = await buildOne(sandbox, { ...context, signal }, common, target)
    if ('status' in build) return build
    builds.push(build)
    // The next one would hang as well
    if (signal.aborted) break
  }
  return summarizeBuilds(builds, expectedBuildMs / 1000)
}

/** The common part of all builds of one canary. */
interface CommonRequest {
  readonly nonce: string
  readonly seedOf: SeedOf
}

/** The system, and optionally the feature, that one build verifies. */
interface BuildTarget {
  readonly system: string
  readonly feature?: string
}

const buildOne = async (
  sandbox: CanarySandbox,
  context: ProbeContext,
  common: CommonRequest,
  target: BuildTarget,
): Promise<BuildAttempt | LocalTrouble> => {
  const shell = await attemptBuild(sandbox, context, common, target, 'shell')
  if ('status' in shell) return shell
  const noShell = /executing '\/bin\/sh': No such file or directory/.test(shell.evidence)
  return noShell && !context.signal.aborted
    ? attemptBuild(sandbox, context, common, target, 'builtin')
    : shell
}

const attemptBuild = async (
  sandbox: CanarySandbox,
  context: ProbeContext,
  { nonce, seedOf }: CommonRequest,
  { system, feature }: BuildTarget,
  by: 'shell' | 'builtin',
): Promise<BuildAttempt | LocalTrouble> => {
  const { builder, clock, signal } = context
  const started = clock.monotonic()
  const buildLog = createBuildLogParser(() => (clock.monotonic() - started) / 1000)
  signal.addEventListener('abort', buildLog.freeze, { once: true })
  const features = [...builder.mandatoryFeatures, ...(feature ? [feature] : [])]
  const expression = canaryExpression({
    ...{ nonce, system, features },
    seed: seedOf(system),
    builder: by,
  })
  const result = await sandbox.build(
    expression,
    [
      '--max-jobs',
      '0',
      '--builders',
      sandbox.mode === 'private' ? privateLine(builder) : builder.line,
    ],
    signal,
    line => buildLog.line(line),
  )
  if (isLocalFailure(result, buildLog)) return localFailure(result, true)
  const observed = buildLog.summary()
  const out = result.code === 0 ? await sandbox.readOutput(result.stdout, by) : null
  const hostName =
    by === 'shell'
      ? out?.startsWith(`${nonce} `)
        ? out.slice(nonce.length + 1)
        : null
      : null
  const isVerified =
    result.code === 0 &&
    observed.machine !== null &&
    (by === 'shell' ? hostName !== null : out !== null)
  const failure = isVerified ? null : classifyFailure(result, buildLog, signal)
  return {
    params: failure?.params ?? {},
    evidence: failure ? truncateEvidence(observed.text || result.stderr) : '',
    run: {
      system,
      ...(feature ? { feature } : {}),
      mode: sandbox.mode,
      builtBy:
        hostName && hostName !== 'unknown' && hostName !== 'localhost'
          ? oneLine(hostName, 80)
          : observed.machine,
      durationSeconds: (clock.monotonic() - started) / 1000,
      phases: observed.phases,
      systemVerified: isVerified && by === 'shell',
      outcome: isVerified ? 'ok' : failure?.busy ? 'busy' : 'failed',
      ...(failure ? { kind: failure.kind } : {}),
    },
  }
}

/** Slots of a private store are its own: a line without slots must not make its canary wait. */
const privateLine = (builder: Builder): string => {
  const line = lineWithCredential(builder)
  return builder.maxJobs > 0 ? line : editMachine({ line }, { 4: '1' })
}
