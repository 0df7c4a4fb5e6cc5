/** Programs that a test starts beside the lab, and the ports that they are given. */
import { spawn } from 'node:child_process'
import { createServer, type AddressInfo } from 'node:net'

/** A TCP port of the loopback interface that was free a moment ago. */
export const freePort = () =>
  new Promise<number>((resolve, reject) => {
    const server = createServer()
    server.on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })

export interface Program {
  /** All that it has printed. */
  readonly output: () => string
  /** Ends it, SIGTERM by default; resolves with its exit code. */
  readonly stop: (signal?: NodeJS.Signals) => Promise<number | null>
}

/** A child whose output is kept. */
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
