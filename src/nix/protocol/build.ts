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

/** How a build ended (build-result.hh); a number that we do not know is `Unknown`. */
export type BuildStatus = (typeof statuses)[number] | 'Unknown'

export interface BuildResult {
  readonly status: BuildStatus
  readonly isSuccess: boolean
  /** Cleaned message of the remote, empty on success. */
  readonly message: string
}

/** drv path and BasicDerivation, as both protocols send them (derivations.cc writeDerivation). */
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

/** Which fields the negotiated version has after status and message. */
export interface BuildResultLayout {
  readonly times: boolean
  readonly outputs: boolean
}

/** Only status and message are kept: 2.34.8 sends zeros for the rest even on success. */
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
