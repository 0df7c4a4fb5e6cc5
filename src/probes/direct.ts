import { randomBytes } from 'node:crypto'
import type { CanaryRun, Channel, Outcome, Probe, ProbeContext } from '../model.ts'
import { classify } from '../diagnosis/messages.ts'
import { evidenceOf, oneLine } from '../diagnosis/text.ts'
import type { BuildResult } from '../nix/build.ts'
import { instantiate, type Derivation } from '../nix/derivation.ts'
import { openServe } from '../nix/serve.ts'
import { storeCommand } from '../nix/store-command.ts'
import { openWorker } from '../nix/worker.ts'
import { summarizeBuilds, type OneBuild } from './canary-summary.ts'
import { converse, type Failure } from './converse.ts'

const timeoutMs = 30_000
/** A build log may be longer than a handshake. */
const wireLimits = { totalBytes: 4 * 1024 * 1024 }

/**
 * The builder is asked to build over our own connection, without the local Nix (BuildDerivation). With the canary it
 * splits every failure: where this works and the canary does not, the fault is on our side.
 */
export const directProbe: Probe<'direct'> = {
  name: 'direct',
  summary: 'the builder builds when it is asked without the local Nix',
  timeoutMs,
  run: async context => {
    const builds: OneBuild[] = []
    for (const system of context.builder.systems) {
      builds.push(await buildOn(context, system))
      if (context.signal.aborted) break
    }
    return summarizeBuilds(builds)
  },
  samples: () => [],
}

const buildOn = async (context: ProbeContext, system: string): Promise<OneBuild> => {
  const shell = await attempt(context, system, 'shell')
  const noShell = /executing '\/bin\/sh': No such file or directory/.test(shell.evidence)
  return noShell && !context.signal.aborted ? attempt(context, system, 'builtin') : shell
}

const attempt = async (
  context: ProbeContext,
  system: string,
  by: 'shell' | 'builtin',
): Promise<OneBuild> => {
  const { builder, clock } = context
  const started = clock.monotonic()
  const derivation = directDerivation(system, builder.mandatoryFeatures, by)
  let isAsked = false
  const asked = await converse(context, storeCommand(builder), (channel, signal) => {
    const build = builder.scheme === 'ssh' ? buildByServe : buildByWorker
    return build(channel, derivation, signal, () => {
      isAsked = true
      context.trace('BuildDerivation', `${derivation.drvPath} on ${system}, by ${by}`)
    })
  })
  if (!('status' in asked))
    context.trace(
      'built',
      [asked.value.result.status, asked.value.result.message, asked.value.log]
        .filter(Boolean)
        .join('\n'),
    )
  const verdict: Outcome<never> | { readonly status: 'built' } =
    'status' in asked ? (isAsked ? inTheBuild(asked) : asked) : judge(asked.value)
  const run: CanaryRun = {
    system,
    mode: 'direct',
    // It went over a connection whose other end we know
    builtBy: verdict.status === 'built' ? builder.host : null,
    durationSeconds: (clock.monotonic() - started) / 1000,
    phases: {},
    systemProven: verdict.status === 'built' && by === 'shell',
    outcome:
      verdict.status === 'built' ? 'ok' : verdict.status === 'busy' ? 'busy' : 'failed',
    ...(verdict.status !== 'built' && 'kind' in verdict ? { kind: verdict.kind } : {}),
  }
  return {
    run,
    params: 'params' in verdict ? verdict.params : {},
    evidence: 'evidence' in verdict ? (verdict.evidence ?? '') : '',
  }
}

/** A daemon that shook hands is not frozen: the build that it was asked for hangs. */
const inTheBuild = (failure: Failure): Failure =>
  failure.kind === 'daemon_frozen'
    ? {
        ...failure,
        kind: 'build_timeout',
        params: { detail: 'it hangs while building', hangs: 'while building' },
      }
    : failure

const script =
  'case " $requiredSystemFeatures " in *" kvm "*) test -w /dev/kvm || exit 8;; esac; echo "$nonce" > $out'

/** Input-addressed and without inputs: the one kind that both protocols build for a trusted user. */
const directDerivation = (
  system: string,
  features: readonly string[],
  by: 'shell' | 'builtin',
): Derivation => {
  const nonce = randomBytes(16).toString('hex')
  const common = {
    nonce,
    // Else the remote asks its substituters first, for seconds where its network is down
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

interface Built {
  readonly result: BuildResult
  readonly log: string
}

const buildByWorker = async (
  channel: Channel,
  derivation: Derivation,
  signal: AbortSignal,
  onAsked: () => void,
): Promise<Built> => {
  const worker = await openWorker(channel, { signal, limits: wireLimits })
  onAsked()
  const result = await worker.buildDerivation(derivation)
  return { result, log: worker.log() }
}

const buildByServe = async (
  channel: Channel,
  derivation: Derivation,
  signal: AbortSignal,
  onAsked: () => void,
): Promise<Built> => {
  const serve = await openServe(channel, { signal, limits: wireLimits })
  onAsked()
  const seconds = timeoutMs / 1000
  const result = await serve.buildDerivation(derivation, {
    maxSilentSeconds: seconds,
    timeoutSeconds: seconds,
    maxLogBytes: 64 * 1024,
  })
  return { result, log: '' }
}

const judge = ({
  result,
  log,
}: Built):
  { readonly status: 'built' } | Extract<Outcome<never>, { status: 'failed' }> => {
  if (result.isSuccess) return { status: 'built' }
  const text = `${result.message}\n${log}`
  const told = classify(text, 'remote')
  return {
    status: 'failed',
    kind: told?.kind ?? 'build_failed',
    params: told?.params ?? { detail: oneLine(result.message || result.status) },
    evidence: evidenceOf(text),
  }
}
