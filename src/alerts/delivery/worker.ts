import type { Log } from '../../log/log.ts'
import type { Clock } from '../../model/index.ts'
import type { Post, PostResult, PostRequest } from './post.ts'
import type { DeliveryMetrics } from './delivery-metrics.ts'

/** One request to a receiver. */
export interface DeliveryRequest {
  readonly url: string
  readonly body: string
  /**
   * Records the result. `delivered` and `rejected` (permanently) continue with the next request at once, `retry` waits
   * first.
   */
  handleResponse(result: PostResult): Promise<'delivered' | 'rejected' | 'retry'>
}

export interface DeliveryDeps {
  readonly post: Post
  readonly metrics: DeliveryMetrics
  readonly clock: Clock
  readonly log: Log
  /** Returns 0 to 1, for the jitter of retry delays. */
  readonly random: () => number
}

/** A receiver as its worker sees it. */
export interface DeliveryTarget {
  readonly label: string
  readonly access: PostRequest['access']
  /** Returns the request that is due now, or null. Rejects with a message when it cannot be built. */
  readonly nextRequest: () => Promise<DeliveryRequest | null>
}

export interface DeliveryWorker {
  /** Checks for a due request now instead of at the next poll. */
  wake(): void
  stop(): void
}

const firstRetryMs = 1000
const maxRetryMs = 60_000
const pollMs = 5000

/** Sends the requests of one receiver one at a time, with exponential backoff while the receiver fails. Never gives up. */
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
    const message = 'alert delivery failed, retrying'
    if (failures === 1) log.warn(fields, message)
    else log.debug(fields, message)
    const retryMs = Math.min(maxRetryMs, firstRetryMs * 2 ** (failures - 1))
    await sleep(retryMs * (0.75 + deps.random() * 0.5), false)
  }
  const onSuccess = () => {
    if (failures > 0)
      log.info({ receiver: label, failures }, 'alert delivery works again')
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
    // A response that arrived counts, even during shutdown
    if (result.status === null && stopping.signal.aborted) return
    const outcome = await request.handleResponse(result)
    if (outcome === 'retry') return onFailure(describeResult(result))
    if (outcome === 'delivered') onSuccess()
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
      if (isInterruptible) sleepController.abort(new Error('woken up'))
    },
    stop: () => {
      const reason = new Error('builder-monitor is stopping')
      stopping.abort(reason)
      sleepController.abort(reason)
    },
  }
}

/** Describes a failed request in one line. */
export const describeResult = (result: PostResult): string =>
  result.status === null
    ? result.reason
    : `HTTP status ${result.status}${result.body === '' ? '' : `: ${result.body}`}`
