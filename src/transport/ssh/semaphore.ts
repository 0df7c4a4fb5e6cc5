/** Limits concurrency, first come first served. */
export interface Semaphore {
  /** Resolves with an idempotent release function, or rejects with the signal's reason. */
  acquire(signal: AbortSignal): Promise<() => void>
}

export const createSemaphore = (limit: number): Semaphore => {
  let free = limit
  const waiting: (() => void)[] = []
  const release = () => {
    const next = waiting.shift()
    if (next) next()
    else free++
  }
  const createRelease = () => {
    let isHeld = true
    return () => {
      if (isHeld) release()
      isHeld = false
    }
  }
  return {
    acquire: signal =>
      new Promise((resolve, reject) => {
        const fail = () => {
          const at = waiting.indexOf(grant)
          if (at >= 0) waiting.splice(at, 1)
          reject(signal.reason as Error)
        }
        const grant = () => {
          signal.removeEventListener('abort', fail)
          resolve(createRelease())
        }
        if (signal.aborted) return reject(signal.reason as Error)
        if (free > 0) {
          free--
          return grant()
        }
        signal.addEventListener('abort', fail, { once: true })
        waiting.push(grant)
      }),
  }
}
