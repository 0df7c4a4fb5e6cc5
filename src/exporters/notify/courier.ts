import type { Log } from '../../log.ts'
import type { Clock } from '../../model.ts'
import type { Post, Posted, PostRequest } from './post.ts'
import type { Tally } from './tally.ts'

/** One request, and what its answer means. */
export interface Parcel {
  readonly url: string
  readonly body: string
  /** `taken`, or `refused` for good, and there may be a next parcel at once; `later`: the receiver is in trouble. */
  answered(posted: Posted): Promise<'taken' | 'refused' | 'later'>
}

/** What every courier works with. */
export interface CourierDeps {
  readonly post: Post
  readonly tally: Tally
  readonly clock: Clock
  readonly log: Log
  /** 0 to 1, for the jitter of pauses. */
  readonly random: () => number
}

/** Whom it serves. */
export interface Errand {
  readonly label: string
  readonly access: PostRequest['access']
  /** What is due now, null where there is nothing. Rejects with a sentence where it cannot be told. */
  readonly next: () => Promise<Parcel | null>
}

export interface Courier {
  /** There may be something to send. */
  wake(): void
  stop(): void
}

const firstPauseMs = 1000
const longestPauseMs = 60_000
/** How often it is asked whether something is due by now. */
const idleMs = 5000

/** Carries parcels to one receiver, one at a time; waits longer and longer while that is in trouble. Never gives up by itself. */
export const startCourier = (errand: Errand, deps: CourierDeps): Courier => {
  const { label, access } = errand
  const { post, tally, clock, log } = deps
  const stopping = new AbortController()
  let nap = new AbortController()
  let isWoken = false
  let canWake = false
  let failures = 0

  const rest = async (ms: number, mayWake: boolean) => {
    if (stopping.signal.aborted || (mayWake && isWoken)) return
    nap = new AbortController()
    canWake = mayWake
    await clock.sleep(ms, nap.signal).catch(() => undefined)
    canWake = false
  }
  const trouble = async (reason: string) => {
    tally.failed(label)
    failures += 1
    const fields = { receiver: label, reason, failures }
    if (failures === 1) log.warn(fields, 'a receiver of alerts does not take them')
    else log.debug(fields, 'a receiver of alerts does not take them')
    const pause = Math.min(longestPauseMs, firstPauseMs * 2 ** (failures - 1))
    await rest(pause * (0.75 + deps.random() * 0.5), false)
  }
  const fine = () => {
    if (failures > 0)
      log.info({ receiver: label, failures }, 'a receiver of alerts takes them again')
    failures = 0
  }
  const turn = async () => {
    isWoken = false
    const parcel = await errand.next()
    if (stopping.signal.aborted) return
    if (!parcel) return rest(idleMs, true)
    const posted = await post({
      url: parcel.url,
      access,
      body: parcel.body,
      signal: stopping.signal,
    })
    // An answer that came is an answer, also while we stop
    if (posted.status === null && stopping.signal.aborted) return
    const fate = await parcel.answered(posted)
    if (fate === 'later') return trouble(sentenceOf(posted))
    if (fate === 'taken') fine()
    else tally.failed(label)
  }
  void (async () => {
    while (!stopping.signal.aborted)
      try {
        await turn()
      } catch (error) {
        await trouble(error instanceof Error ? error.message : String(error))
      }
  })()
  return {
    wake: () => {
      isWoken = true
      if (canWake) nap.abort(new Error('there is news'))
    },
    stop: () => {
      const reason = new Error('the monitor stops')
      stopping.abort(reason)
      nap.abort(reason)
    },
  }
}

export const sentenceOf = (posted: Posted): string =>
  posted.status === null
    ? posted.reason
    : `it answered ${posted.status}${posted.answer === '' ? '' : `: ${posted.answer}`}`
