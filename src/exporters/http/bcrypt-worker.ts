/** Compares passwords in a thread, because bcrypt is slow by design and would block the event loop. */
import { parentPort } from 'node:worker_threads'
import { compareSync } from 'bcryptjs'
import type { CompareResponse, CompareRequest } from './bcrypt.ts'

parentPort?.on('message', ({ id, password, hash }: CompareRequest) => {
  let isMatch = false
  try {
    isMatch = compareSync(password, hash)
  } catch {
    // The hash was validated before, so bcrypt rejects the password
  }
  parentPort?.postMessage({ id, isMatch } satisfies CompareResponse)
})
