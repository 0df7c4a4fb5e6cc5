import type { Run } from '../../model/index.ts'
import { flockProgram, perlProgram, type LockProgram } from './lock-file.ts'

/** Returns the first program that is installed here and can take a flock(2) on an inherited descriptor; null if none. */
export const findLockProgram = async (run: Run): Promise<LockProgram | null> => {
  for (const program of [flockProgram, perlProgram]) {
    const { spawnError } = await run({
      file: program.file,
      args: ['--version'],
      signal: AbortSignal.timeout(5000),
      maxBytes: 4096,
    })
    if (spawnError === null) return program
  }
  return null
}
