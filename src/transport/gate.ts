/** Lets at most `limit` holders through at a time, in order of arrival. */
export interface Gate {
  /** Resolves with the function that gives the place back (idempotent), or rejects with the signal's reason. */
  enter(signal: AbortSignal): Promise<() => void>
}

export const createGate = (limit: number): Gate => {
  let free = limit
  const waiting: (() => void)[] = []
  const leave = () => {
    const next = waiting.shift()
    if (next) next()
    else free++
  }
  const place = () => {
    let held = true
    return () => {
      if (held) leave()
      held = false
    }
  }
  return {
    enter: signal =>
      new Promise((resolve, reject) => {
        const fail = () => {
          const at = waiting.indexOf(take)
          if (at >= 0) waiting.splice(at, 1)
          reject(signal.reason as Error)
        }
        const take = () => {
          signal.removeEventListener('abort', fail)
          resolve(place())
        }
        if (signal.aborted) return reject(signal.reason as Error)
        if (free > 0) {
          free--
          return take()
        }
        signal.addEventListener('abort', fail, { once: true })
        waiting.push(take)
      }),
  }
}
