/** Programs that a test starts next to the lab. */
import { spawn } from 'node:child_process'

export interface Program {
  /** Everything that it printed. */
  readonly output: () => string
  /** Terminates it, with SIGTERM by default. Resolves with its exit code. */
  readonly stop: (signal?: NodeJS.Signals) => Promise<number | null>
}

/** Starts a child process and collects its output. */
export const startProgram = (
  file: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Program => {
  const child = spawn(file, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (output += text))
  const exit = new Promise<number | null>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', resolve)
  })
  return {
    output: () => output,
    stop: async (signal = 'SIGTERM') => {
      child.kill(signal)
      return await exit
    },
  }
}
