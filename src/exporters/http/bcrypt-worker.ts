/** A thread that compares passwords: bcrypt is slow by design, and the daemon shall not stand still for it. */
import { parentPort } from 'node:worker_threads'
import { compareSync } from 'bcryptjs'
import type { CompareResponse, CompareRequest } from './bcrypt.ts'

parentPort?.on('message', ({ id, password, hash }: CompareRequest) => {
  let isMatch = false
  try {
    isMatch = compareSync(password, hash)
  } catch {
    // The hash was checked before; what bcrypt refuses is not the password
  }
  parentPort?.postMessage({ id, isMatch } satisfies CompareResponse)
})
