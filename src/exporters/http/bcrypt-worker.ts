/** A thread that compares passwords: bcrypt is slow by design, and the daemon shall not stand still for it. */
import { parentPort } from 'node:worker_threads'
import { compareSync } from 'bcryptjs'
import type { CompareAnswer, CompareRequest } from './bcrypt.ts'

parentPort?.on('message', ({ id, password, hash }: CompareRequest) => {
  let isSame = false
  try {
    isSame = compareSync(password, hash)
  } catch {
    // The hash was checked before; what bcrypt refuses is not the password
  }
  parentPort?.postMessage({ id, isSame } satisfies CompareAnswer)
})
