import { sanitize } from '../../text/sanitize.ts'
import type { Derivation } from './derivation.ts'
import type { WireReader } from './wire.ts'
import { concat, list, map, text } from './wire-writer.ts'

const statuses = [
  'Built',
  'Substituted',
  'AlreadyValid',
  'PermanentFailure',
  'InputRejected',
  'OutputRejected',
  'TransientFailure',
  'CachedFailure',
  'TimedOut',
  'MiscFailure',
  'DependencyFailed',
  'LogLimitExceeded',
  'NotDeterministic',
  'ResolvesToAlreadyValid',
  'NoSubstituters',
] as const

/** Build result (build-result.hh); an unknown number is `Unknown`. */
export type BuildStatus = (typeof statuses)[number] | 'Unknown'

export interface BuildResult {
  readonly status: BuildStatus
  readonly isSuccess: boolean
  /** Sanitized message of the remote; empty on success. */
  readonly message: string
}

/** Encodes the drv path and BasicDerivation for both protocols (derivations.cc writeDerivation). */
export const encodeDerivation = (drv: Derivation): Buffer =>
  concat(
    text(drv.drvPath),
    list([concat(text('out'), text(drv.outPath), text(''), text(''))]),
    list([]),
    text(drv.system),
    text(drv.builder),
    list(drv.args.map(text)),
    map(drv.env),
  )

/** Fields of the negotiated version after status and message. */
export interface BuildResultLayout {
  readonly times: boolean
  readonly outputs: boolean
}

/** Reads status and message and skips the rest: 2.34.8 sends zeros there even on success. */
export const readBuildResult = async (
  reader: WireReader,
  layout: BuildResultLayout,
): Promise<BuildResult> => {
  const status = statuses[await reader.number('build status')] ?? 'Unknown'
  const message = sanitize(await reader.text('build message'))
  if (layout.times) {
    await reader.word('times built')
    await reader.word('non-determinism flag')
    await reader.word('start time')
    await reader.word('stop time')
  }
  if (layout.outputs)
    await reader.list('built outputs', async () => {
      await reader.text('output id')
      await reader.text('realisation')
    })
  return { status, isSuccess: isSuccess(status), message }
}

const isSuccess = (status: BuildStatus): boolean =>
  status === 'Built' ||
  status === 'Substituted' ||
  status === 'AlreadyValid' ||
  status === 'ResolvesToAlreadyValid'
