import { randomBytes } from 'node:crypto'
import type { CanaryRun, Channel, Outcome, Probe, ProbeContext } from '../model/index.ts'
import { classify } from '../diagnosis/classify.ts'
import { truncateEvidence, oneLine } from '../text/truncate.ts'
import type { BuildResult } from '../nix/protocol/build.ts'
import { instantiate, type Derivation } from '../nix/protocol/derivation.ts'
import { openServe } from '../nix/protocol/serve.ts'
import { storeCommand } from '../nix/protocol/store-command.ts'
import { openWorker } from '../nix/protocol/worker.ts'
import { summarizeBuilds, type BuildAttempt } from './canary/outcome.ts'
import { withProtocol, type ProtocolFailure } from './protocol/with-protocol.ts'

const timeoutMs = 75_000
const expectedSeconds = 30
/** A build log can be longer than a handshake. */
const wireLimits = { totalBytes: 4 * 1024 * 1024 }

/**
 * Builds over our own connection, without the local Nix (BuildDerivation). Locates failures of the canary: if this build
 * succeeds and the canary fails, the cause is on this machine.
 */
export const directProbe: Probe<'direct'> = {
  name: 'direct',
  summary: 'a build without the local Nix succeeds',
  timeoutMs,
  run: async context => {
    const builds: BuildAttempt[] = []
    for (const system of context.builder.systems) {
      builds.push(await buildOn(context, system))
      if (context.signal.aborted) break
    }
    return summarizeBuilds(builds, expectedSeconds)
  },
  samples: () => [],
}

const buildOn = async (context: ProbeContext, system: string): Promise<BuildAttempt> => {
  const shell = await attemptBuild(context, system, 'shell')
  const shellMissing = /executing '\/bin\/sh': No such file or directory/.test(
    shell.evidence,
  )
  return shellMissing && !context.signal.aborted
    ? attemptBuild(context, system, 'builtin')
    : shell
}

const attemptBuild = async (
  context: ProbeContext,
  system: string,
  by: 'shell' | 'builtin',
): Promise<BuildAttempt> => {
  const { builder, clock } = context
  const started = clock.monotonic()
  const derivation = directDerivation(system, builder.mandatoryFeatures, by)
  let wasRequested = false
  const reply = await withProtocol(context, storeCommand(builder), (channel, signal) => {
    const build = builder.scheme === 'ssh' ? buildByServe : buildByWorker
    return build(channel, derivation, signal, () => {
      wasRequested = true
      context.trace('BuildDerivation', `${derivation.drvPath} on ${system}, by ${by}`)
    })
  })
  if (!('status' in reply))
    context.trace(
      'built',
      [reply.value.result.status, reply.value.result.message, reply.value.log]
        .filter(Boolean)
        .join('\n'),
    )
  const outcome: Outcome<never> | { readonly status: 'built' } =
    'status' in reply
      ? wasRequested
        ? asBuildFailure(reply)
        : reply
      : toOutcome(reply.value)
  const run: CanaryRun = {
    system,
    mode: 'direct',
    // The connection goes to this builder only
    builtBy: outcome.status === 'built' ? builder.host : null,
    durationSeconds: (clock.monotonic() - started) / 1000,
    phases: {},
    // A shell of the builder's own system says nothing about another one, and without an input there is no program of it
    systemVerified:
      outcome.status === 'built' &&
      by === 'shell' &&
      (context.last('system')?.systems[0] ?? system) === system,
    outcome:
      outcome.status === 'built' ? 'ok' : outcome.status === 'busy' ? 'busy' : 'failed',
    ...(outcome.status !== 'built' && 'kind' in outcome ? { kind: outcome.kind } : {}),
  }
  return {
    run,
    params: 'params' in outcome ? outcome.params : {},
    evidence: 'evidence' in outcome ? (outcome.evidence ?? '') : '',
  }
}

/** Converts a timeout after the handshake: the daemon works, the requested build hangs. */
const asBuildFailure = (failure: ProtocolFailure): ProtocolFailure =>
  failure.kind === 'daemon_frozen'
    ? {
        ...failure,
        kind: 'build_timeout',
        params: { detail: 'it hangs while building', hangs: 'while building' },
      }
    : failure

const script =
  'case " $requiredSystemFeatures " in *" kvm "*) test -w /dev/kvm || exit 8;; esac; echo "$nonce" > $out'

/** An input-addressed derivation without inputs: both protocols build only these for a trusted user. */
const directDerivation = (
  system: string,
  features: readonly string[],
  by: 'shell' | 'builtin',
): Derivation => {
  const nonce = randomBytes(16).toString('hex')
  const common = {
    nonce,
    // Otherwise the remote queries its substituters first, which takes seconds if its network is down
    allowSubstitutes: '',
    preferLocalBuild: '',
    ...(features.length ? { requiredSystemFeatures: features.join(' ') } : {}),
  }
  const name = 'builder-monitor-direct'
  return by === 'shell'
    ? instantiate({ name, system, builder: '/bin/sh', args: ['-c', script], env: common })
    : instantiate({
        name,
        system,
        builder: 'builtin:buildenv',
        args: [],
        env: { ...common, derivations: '', manifest: nonce },
      })
}

interface BuildReply {
  readonly result: BuildResult
  readonly log: string
}

const buildByWorker = async (
  channel: Channel,
  derivation: Derivation,
  signal: AbortSignal,
  onRequested: () => void,
): Promise<BuildReply> => {
  const worker = await openWorker(channel, { signal, limits: wireLimits })
  onRequested()
  const result = await worker.buildDerivation(derivation)
  return { result, log: worker.log() }
}

const buildByServe = async (
  channel: Channel,
  derivation: Derivation,
  signal: AbortSignal,
  onRequested: () => void,
): Promise<BuildReply> => {
  const serve = await openServe(channel, { signal, limits: wireLimits })
  onRequested()
  const seconds = timeoutMs / 1000
  const result = await serve.buildDerivation(derivation, {
    maxSilentSeconds: seconds,
    timeoutSeconds: seconds,
    maxLogBytes: 64 * 1024,
  })
  return { result, log: '' }
}

const toOutcome = ({
  result,
  log,
}: BuildReply):
  { readonly status: 'built' } | Extract<Outcome<never>, { status: 'failed' }> => {
  if (result.isSuccess) return { status: 'built' }
  const text = `${result.message}\n${log}`
  const classified = classify(text, 'remote')
  return {
    status: 'failed',
    kind: classified?.kind ?? 'build_failed',
    params: classified?.params ?? { detail: oneLine(result.message || result.status) },
    evidence: truncateEvidence(text),
  }
}
