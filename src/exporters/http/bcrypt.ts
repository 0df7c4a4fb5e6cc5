import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'

export interface CompareRequest {
  readonly id: number
  readonly password: string
  readonly hash: string
}
export interface CompareResponse {
  readonly id: number
  readonly isMatch: boolean
}

export interface Bcrypt {
  /** Whether the hash belongs to this password. Rejects when the thread fails. */
  compare(password: string, hash: string): Promise<boolean>
  /** Ends the thread. */
  stop(): void
}

/** A thread needs some megabytes and is idle once logins are cached. */
const idleMs = 30_000

/** Compares passwords one at a time in a thread that starts on demand. */
export const createBcrypt = (): Bcrypt => {
  let worker: Worker | null = null
  let idle: NodeJS.Timeout | undefined
  let lastId = 0
  const waiting = new Map<
    number,
    { resolve(isMatch: boolean): void; reject(error: Error): void }
  >()

  const stop = () => {
    clearTimeout(idle)
    void worker?.terminate()
    worker = null
  }
  const start = (): Worker => {
    const file = new URL(`bcrypt-worker${extname(import.meta.url)}`, import.meta.url)
    const started = new Worker(file)
    started.unref()
    started.on('message', ({ id, isMatch: isSame }: CompareResponse) => {
      waiting.get(id)?.resolve(isSame)
      waiting.delete(id)
      if (waiting.size > 0) return
      clearTimeout(idle)
      idle = setTimeout(stop, idleMs).unref()
    })
    const fail = (error: Error) => {
      if (worker === started) worker = null
      for (const { reject } of waiting.values()) reject(error)
      waiting.clear()
    }
    started.on('error', fail)
    started.on('exit', () => {
      if (worker === started || worker === null)
        fail(new Error('the bcrypt thread exited'))
    })
    return started
  }
  return {
    compare: (password, hash) =>
      new Promise((resolve, reject) => {
        clearTimeout(idle)
        worker ??= start()
        const id = ++lastId
        waiting.set(id, { resolve, reject })
        worker.postMessage({ id, password, hash } satisfies CompareRequest)
      }),
    stop,
  }
}
