import type {
  Channel,
  Outcome,
  Probe,
  ProbeContext,
  Trace,
  TrustValue,
} from '../model.ts'
import { openServe } from '../nix/serve.ts'
import { storeCommand } from '../nix/store-command.ts'
import { NixError } from '../nix/wire-error.ts'
import { openWorker } from '../nix/worker.ts'
import { converse, type Failure } from './converse.ts'

/** A path that no store has: asking for it opens the store and changes nothing. */
const noPath = '/nix/store/00000000000000000000000000000000-builder-monitor'

/**
 * Which Nix answers, in which protocol, whether the store can be opened and whether our user is trusted: the worker
 * handshake for ssh-ng; for ssh the serve handshake, which says nothing by itself, followed by a real question.
 */
export const trustProbe: Probe<'trust'> = {
  name: 'trust',
  summary: 'Nix answers, opens its store and trusts our user',
  timeoutMs: 8000,
  run: context =>
    context.builder.scheme === 'ssh' ? askServe(context) : askWorker(context),
  samples: ({ trusted }, builder) =>
    trusted === null
      ? []
      : [
          {
            family: 'nix_builder_trusted',
            labels: { builder: builder.name },
            value: trusted ? 1 : 0,
          },
        ],
}

const askWorker = async (context: ProbeContext): Promise<Outcome<TrustValue>> => {
  const asked = await converse(
    context,
    storeCommand(context.builder),
    workerTrust(context.trace),
  )
  if (!('status' in asked)) return judge(asked.value)
  return asked.kind === 'daemon_crash' ? secondOpinion(context, asked) : asked
}

/** From 2.20 on `nix-daemon --stdio` hides why its own daemon does not answer; nix-store says it. */
const secondOpinion = async (context: ProbeContext, first: Failure): Promise<Failure> => {
  const second = await converse(
    context,
    'nix-store --serve --write',
    serveVersion(context.trace),
  )
  const tells =
    'status' in second && (second.kind === 'daemon_down' || second.kind === 'disk_full')
  return tells ? second : first
}

const serveVersion =
  (trace: Trace) =>
  async (channel: Channel, signal: AbortSignal): Promise<string> => {
    trace('greet', 'serve protocol')
    const serve = await openServe(channel, { signal })
    trace('greeted', `serve protocol ${serve.version}`)
    const valid = await serve.queryValidPaths([noPath])
    trace('QueryValidPaths', `${noPath}: ${valid.length} valid, so the store is open`)
    return serve.version
  }

const askServe = async (context: ProbeContext): Promise<Outcome<TrustValue>> => {
  const { trace } = context
  const asked = await converse(
    context,
    storeCommand(context.builder),
    serveVersion(trace),
  )
  if ('status' in asked) return asked
  // The serve protocol is silent about trust; where the account allows it, nix-daemon tells
  const worker = await converse(context, 'nix-daemon --stdio', workerTrust(trace))
  const told = 'status' in worker ? null : worker.value
  return judge({
    protocol: 'serve',
    protocolVersion: asked.value,
    nixVersion: told?.nixVersion ?? null,
    trusted: told?.trusted ?? null,
    trustBy: told?.trustBy ?? null,
  })
}

const judge = (value: TrustValue): Outcome<TrustValue> =>
  value.trusted === false
    ? { status: 'degraded', kind: 'not_trusted', params: {}, value }
    : { status: 'ok', value }

const workerTrust =
  (trace: Trace) =>
  async (channel: Channel, signal: AbortSignal): Promise<TrustValue> => {
    trace('greet', 'worker protocol')
    const worker = await openWorker(channel, { signal })
    trace(
      'greeted',
      `worker protocol ${worker.version}, Nix ${worker.nixVersion ?? 'not told'}, trust flag ${worker.trusted ?? 'not told'}`,
    )
    const isValid = await worker.isValidPath(noPath).catch((error: unknown) => {
      // Another store directory than /nix/store: it was opened all the same
      if (error instanceof NixError && /not in the Nix store/.test(error.message))
        return false
      throw error
    })
    trace('IsValidPath', `${noPath}: ${isValid}, so the store is open`)
    const byFlag = worker.trusted !== null
    const trusted = byFlag ? worker.trusted : await worker.isTrusted()
    if (!byFlag) trace('BuildPaths', `repair nothing: ${trusted ? 'allowed' : 'refused'}`)
    return {
      protocol: 'worker',
      protocolVersion: worker.version,
      nixVersion: worker.nixVersion,
      trusted,
      trustBy: byFlag ? 'flag' : 'repair',
    }
  }
