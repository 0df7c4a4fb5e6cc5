import type {
  Channel,
  Outcome,
  Probe,
  ProbeContext,
  Trace,
  TrustValue,
} from '../model/index.ts'
import { openServe } from '../nix/protocol/serve.ts'
import { storeCommand } from '../nix/protocol/store-command.ts'
import { NixError } from '../nix/protocol/errors.ts'
import { openWorker } from '../nix/protocol/worker.ts'
import { explainSession } from './protocol/explain-session.ts'
import { withProtocol, type ProtocolFailure } from './protocol/with-protocol.ts'

/** A path that exists in no store: querying it opens the store and changes nothing. */
const nonexistentPath = '/nix/store/00000000000000000000000000000000-builder-monitor'

/**
 * Determines version and protocol of the remote Nix, whether its store opens and whether our user is trusted: by the worker
 * handshake for ssh-ng; for ssh by the serve handshake, which reports nothing itself, and a query.
 */
export const trustProbe: Probe<'trust'> = {
  name: 'trust',
  summary: 'Nix answers, opens its store and trusts our user',
  timeoutMs: 8000,
  hardTimeoutMs: 60_000,
  run: context =>
    context.builder.scheme === 'ssh' ? probeServe(context) : probeWorker(context),
  explain: explainSession,
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

const probeWorker = async (context: ProbeContext): Promise<Outcome<TrustValue>> => {
  const reply = await withProtocol(
    context,
    storeCommand(context.builder),
    readWorkerTrust(context.trace),
  )
  if (!('status' in reply)) return toOutcome(reply.value)
  return reply.kind === 'daemon_crash' ? retryOverServe(context, reply) : reply
}

/** Since 2.20 `nix-daemon --stdio` hides why its daemon does not answer; nix-store reports it. */
const retryOverServe = async (
  context: ProbeContext,
  first: ProtocolFailure,
): Promise<ProtocolFailure> => {
  const second = await withProtocol(
    context,
    'nix-store --serve --write',
    readServeVersion(context.trace),
  )
  const isConclusive =
    'status' in second && (second.kind === 'daemon_down' || second.kind === 'disk_full')
  return isConclusive ? second : first
}

const readServeVersion =
  (trace: Trace) =>
  async (channel: Channel, signal: AbortSignal): Promise<string> => {
    trace('handshake', 'serve protocol')
    const serve = await openServe(channel, { signal })
    trace('connected', `serve protocol ${serve.version}`)
    const valid = await serve.queryValidPaths([nonexistentPath])
    trace(
      'QueryValidPaths',
      `${nonexistentPath}: ${valid.length} valid, so the store is open`,
    )
    return serve.version
  }

const probeServe = async (context: ProbeContext): Promise<Outcome<TrustValue>> => {
  const { trace } = context
  const reply = await withProtocol(
    context,
    storeCommand(context.builder),
    readServeVersion(trace),
  )
  if ('status' in reply) return reply
  // The serve protocol does not report trust; nix-daemon does, if the account can run it
  const worker = await withProtocol(context, 'nix-daemon --stdio', readWorkerTrust(trace))
  const workerTrustValue = 'status' in worker ? null : worker.value
  return toOutcome({
    protocol: 'serve',
    protocolVersion: reply.value,
    nixVersion: workerTrustValue?.nixVersion ?? null,
    trusted: workerTrustValue?.trusted ?? null,
    trustSource: workerTrustValue?.trustSource ?? null,
  })
}

const toOutcome = (value: TrustValue): Outcome<TrustValue> =>
  value.trusted === false
    ? { status: 'degraded', kind: 'not_trusted', params: {}, value }
    : { status: 'ok', value }

const readWorkerTrust =
  (trace: Trace) =>
  async (channel: Channel, signal: AbortSignal): Promise<TrustValue> => {
    trace('handshake', 'worker protocol')
    const worker = await openWorker(channel, { signal })
    trace(
      'connected',
      `worker protocol ${worker.version}, Nix ${worker.nixVersion ?? 'not reported'}, trust flag ${worker.trusted ?? 'not reported'}`,
    )
    const isValid = await worker.isValidPath(nonexistentPath).catch((error: unknown) => {
      // The store directory is not /nix/store, but the store was opened
      if (error instanceof NixError && /not in the Nix store/.test(error.message))
        return false
      throw error
    })
    trace('IsValidPath', `${nonexistentPath}: ${isValid}, so the store is open`)
    const isFromHandshake = worker.trusted !== null
    const trusted = isFromHandshake ? worker.trusted : await worker.isTrusted()
    if (!isFromHandshake)
      trace('BuildPaths', `repair of zero paths: ${trusted ? 'allowed' : 'rejected'}`)
    return {
      protocol: 'worker',
      protocolVersion: worker.version,
      nixVersion: worker.nixVersion,
      trusted,
      trustSource: isFromHandshake ? 'handshake' : 'repair_query',
    }
  }
