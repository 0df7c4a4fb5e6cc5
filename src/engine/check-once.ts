import { isReachedBySsh } from '../nix/machines/store-uri.ts'
import type { Builder, LocalNix } from '../model/index.ts'
import type { CanaryMode } from '../probes/canary/sandbox.ts'
import { telemetryNames } from '../probes/index.ts'
import { createSerialQueue } from '../schedule/serial-queue.ts'
import type { Monitor } from './monitor.ts'

export interface CheckOnceOptions {
  readonly builders: readonly Builder[]
  /** How canaries are built, null for none. */
  readonly canaryMode: CanaryMode | null
  /** Whether the rates of the link are measured, with canaries. */
  readonly measuresLink: (builder: Builder) => boolean
  /** Builders that are not probed. */
  readonly isDrained: (builder: Builder) => boolean
  readonly signal: AbortSignal
}

/** Maximum number of builders that are checked concurrently, without those that are waited for. */
const concurrency = 16
/** Longer than the check of a working builder takes, milliseconds. */
const expectedMs = 10_000

/** Returns whether a promise is settled within a time. Rejects when it does. */
const endsWithin = async (ms: number, promise: Promise<void>): Promise<boolean> => {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<false>(resolve => (timer = setTimeout(resolve, ms, false)))
  try {
    return await Promise.race([promise.then(() => true), late])
  } finally {
    clearTimeout(timer)
  }
}

/** Runs every probe of every builder once, and the check of this machine. Closes the monitor's connections. */
export const checkOnce = async (
  monitor: Monitor,
  options: CheckOnceOptions,
): Promise<void> => {
  let markFinished: () => void = () => undefined
  const loginsFinished = new Promise<void>(resolve => (markFinished = resolve))
  const clientChecked = monitor.checkClient(options.signal, loginsFinished)
  const inTurn = createSerialQueue()
  const queue = options.builders.filter(builder => !options.isDrained(builder))
  const waiting: Promise<void>[] = []
  const worker = async () => {
    for (let next = queue.shift(); next; next = queue.shift()) {
      const checked = checkBuilder(monitor, next, inTurn, options)
      // A builder that does not answer does not delay the others
      if (!(await endsWithin(expectedMs, checked))) waiting.push(checked)
    }
  }
  try {
    await Promise.all(Array.from({ length: concurrency }, worker))
    await Promise.all(waiting)
  } finally {
    markFinished()
  }
  await clientChecked
  monitor.close()
}

/** Runs the probes in order. A probe whose prerequisite failed is skipped, not failed. */
const checkBuilder = async (
  monitor: Monitor,
  builder: Builder,
  inTurn: ReturnType<typeof createSerialQueue>,
  { canaryMode, measuresLink, signal }: CheckOnceOptions,
): Promise<void> => {
  const slots = monitor.checkSlots(builder, signal)
  const login = await monitor.checkLogin(builder, signal)
  await slots
  const isRemote = isReachedBySsh(builder)
  const isConnected = monitor.isConnected(builder)
  if (isConnected) await monitor.checkTelemetry(builder, telemetryNames, signal)
  else {
    const kind = isRemote ? 'dependency_failed' : 'not_ssh_store'
    monitor.recordSkipped(builder, telemetryNames, kind, { waitsFor: 'login' })
  }
  if (canaryMode === null) monitor.recordSkipped(builder, ['canary'], 'not_requested')
  else if (login?.isUsable || !isRemote)
    await monitor.runCanary(builder, canaryMode, signal)
  else
    monitor.recordSkipped(builder, ['canary'], 'dependency_failed', {
      waitsFor: isConnected ? 'trust' : 'login',
    })
  if (canaryMode === null || !login?.isUsable) return
  if (usesOwnSubstituters(monitor.nix()))
    await monitor.checkTelemetry(builder, ['substituters'], signal)
  // Measurements at the same time would measure each other
  if (measuresLink(builder)) await inTurn(() => monitor.checkThroughput(builder, signal))
}

/** Whether builders get the inputs of builds from their own substituters. */
export const usesOwnSubstituters = ({ settings }: LocalNix): boolean =>
  settings?.['builders-use-substitutes']?.value === 'true'
