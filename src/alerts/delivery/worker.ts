import type { Log } from '../../log/log.ts'
import type { Clock } from '../../model/index.ts'
import type { Post, PostResult, PostRequest } from './post.ts'
import type { DeliveryMetrics } from './delivery-metrics.ts'

/** One request, and what its answer means. */
export interface DeliveryRequest {
  readonly url: string
  readonly body: string
  /** `taken`, or `refused` for good, and there may be a next parcel at once; `later`: the receiver is in trouble. */
  handleResponse(result: PostResult): Promise<'taken' | 'refused' | 'later'>
}

/** What every courier works with. */
export interface DeliveryDeps {
  readonly post: Post
  readonly metrics: DeliveryMetrics
  readonly clock: Clock
  readonly log: Log
  /** 0 to 1, for the jitter of pauses. */
  readonly random: () => number
}

/** Whom it serves. */
export interface DeliveryTarget {
  readonly label: string
  readonly access: PostRequest['access']
  /** What is due now, null where there is nothing. Rejects with a sentence where it cannot be told. */
  readonly nextRequest: () => Promise<DeliveryRequest | null>
}

export interface DeliveryWorker {
  /** There may be something to send. */
  wake(): void
  stop(): void
}

const firstRetryMs = 1000
const maxRetryMs = 60_000
/** How often it is asked whether something is due by now. */
const pollMs = 5000

/** Carries parcels to one receiver, one at a time; waits longer and longer while that is in trouble. Never gives up by itself. */
export const startDeliveryWorker = (
  target: DeliveryTarget,
  deps: DeliveryDeps,
): DeliveryWorker => {
  const { label, access } = target
  const { post, metrics, clock, log } = deps
  const stopping = new AbortController()
  let sleepController = new AbortController()
  let wakeRequested = false
  let isInterruptible = false
  let failures = 0

  const sleep = async (ms: number, interruptible: boolean) => {
    if (stopping.signal.aborted || (interruptible && wakeRequested)) return
    sleepController = new AbortController()
    isInterruptible = interruptible
    await clock.sleep(ms, sleepController.signal).catch(() => undefined)
    isInterruptible = false
  }
  const onFailure = async (reason: string) => {
    metrics.failed(label)
    failures += 1
    const fields = { receiver: label, reason, failures }
    if (failures === 1) log.warn(fields, 'a receiver of alerts does not take them')
    else log.debug(fields, 'a receiver of alerts does not take them')
    const retryMs = Math.min(maxRetryMs, firstRetryMs * 2 ** (failures - 1))
    await sleep(retryMs * (0.75 + deps.random() * 0.5), false)
  }
  const onSuccess = () => {
    if (failures > 0)
      log.info({ receiver: label, failures }, 'a receiver of alerts takes them again')
    failures = 0
  }
  const deliverNext = async () => {
    wakeRequested = false
    const request = await target.nextRequest()
    if (stopping.signal.aborted) return
    if (!request) return sleep(pollMs, true)
    const result = await post({
      url: request.url,
      access,
      body: request.body,
      signal: stopping.signal,
    })
    // An answer that came is an answer, also while we stop
    if (result.status === null && stopping.signal.aborted) return
    const outcome = await request.handleResponse(result)
    if (outcome === 'later') return onFailure(describeResult(result))
    if (outcome === 'taken') onSuccess()
    else metrics.failed(label)
  }
  void (async () => {
    while (!stopping.signal.aborted)
      try {
        await deliverNext()
      } catch (error) {
        await onFailure(error instanceof Error ? error.message : String(error))
      }
  })()
  return {
    wake: () => {
      wakeRequested = true
      if (isInterruptible) sleepController.abort(new Error('there is news'))
    },
    stop: () => {
      const reason = new Error('the monitor stops')
      stopping.abort(reason)
      sleepController.abort(reason)
    },
  }
}

export const describeResult = (result: PostResult): string =>
  result.status === null
    ? result.reason
    : `it answered ${result.status}${result.body === '' ? '' : `: ${result.body}`}`
