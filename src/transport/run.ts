import { spawn, type ChildProcess } from 'node:child_process'
import { StringDecoder } from 'node:string_decoder'
import type { Run, RunRequest, RunResult } from '../model/index.ts'

const defaultMaxBytes = 256 * 1024
/** How long a group may take to obey SIGTERM. Nix removes its temporary files in that time. */
const graceMs = 1500

/** Kills a process group that may be gone already. */
const killGroup = (child: ChildProcess, signal: NodeJS.Signals): void => {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, signal)
  } catch {
    // ESRCH: it is gone, which is what we want
  }
}

/** Collects text up to a cap, then only counts on. */
const outputCollector = (maxBytes: number) => {
  const chunks: Buffer[] = []
  let size = 0
  let truncated = false
  return {
    add(chunk: Buffer) {
      const available = maxBytes - size
      if (chunk.length > available) truncated = true
      if (available > 0) chunks.push(chunk.subarray(0, available))
      size = Math.min(maxBytes, size + chunk.length)
    },
    text: () => Buffer.concat(chunks).toString('utf8'),
    truncated: () => truncated,
  }
}

/** Splits a stream into lines of at most `maxLine` characters, with no memory beyond one line. */
const lineSplitter = (onLine: (line: string) => void, maxLine = 16_384) => {
  let rest = ''
  return {
    add(text: string) {
      rest += text
      let end = rest.indexOf('\n')
      while (end >= 0) {
        onLine(rest.slice(0, Math.min(end, maxLine)))
        rest = rest.slice(end + 1)
        end = rest.indexOf('\n')
      }
      if (rest.length > maxLine) rest = rest.slice(0, maxLine)
    },
    end: () => {
      if (rest) onLine(rest)
    },
  }
}

/**
 * Starts programs, each in its own process group, so that a deadline ends all of its children too (ssh, hooks).
 * Standard input is /dev/null unless text is given. Never rejects: what went wrong is in the result.
 */
export const createRun = (): Run => request =>
  new Promise<RunResult>(resolve => {
    const { signal } = request
    const out = outputCollector(request.maxBytes ?? defaultMaxBytes)
    const err = outputCollector(request.maxBytes ?? defaultMaxBytes)
    const finish = (result: Pick<RunResult, 'code' | 'signal' | 'spawnError'>) =>
      resolve({
        ...result,
        stdout: out.text(),
        stderr: err.text(),
        truncated: out.truncated() || err.truncated(),
        aborted: signal.aborted,
      })
    if (signal.aborted) return finish({ code: null, signal: null, spawnError: null })

    let child: ChildProcess
    try {
      child = start(request)
    } catch (error) {
      // A NUL in a word is thrown, not told by an event
      const { code, message } = error as NodeJS.ErrnoException
      return finish({ code: null, signal: null, spawnError: code ?? message })
    }
    const lines = request.onStderrLine && lineSplitter(request.onStderrLine)
    const decoder = new StringDecoder('utf8')
    let killTimer: NodeJS.Timeout | undefined
    const abort = () => {
      killGroup(child, 'SIGTERM')
      killTimer = setTimeout(() => killGroup(child, 'SIGKILL'), graceMs)
    }
    signal.addEventListener('abort', abort, { once: true })

    let spawnError: string | null = null
    child.on('error', (error: NodeJS.ErrnoException) => {
      spawnError = error.code ?? error.message
      if (child.pid === undefined) done(null, null)
    })
    child.stdout?.on('data', (chunk: Buffer) => out.add(chunk))
    child.stderr?.on('data', (chunk: Buffer) => {
      err.add(chunk)
      lines?.add(decoder.write(chunk))
    })
    child.stdin?.on('error', () => undefined) // EPIPE: the child did not want its input
    if (request.stdin !== undefined) child.stdin?.end(request.stdin)

    let settled = false
    const done = (code: number | null, name: NodeJS.Signals | null) => {
      if (settled) return
      settled = true
      signal.removeEventListener('abort', abort)
      if (killTimer) clearTimeout(killTimer)
      // A child that outlived its leader would keep slots, or hold the pipe open for ever
      killGroup(child, 'SIGKILL')
      lines?.end()
      finish({ code, signal: name, spawnError })
    }
    child.on('exit', (code, name) => {
      // Wait for the pipes a moment: 'close' comes at once unless a grandchild holds them
      // A starved loop rings the timer before it reads the pipes: one more turn of the poll phase first
      const closeTimer = setTimeout(() => setImmediate(() => done(code, name)), 1000)
      child.on('close', () => {
        clearTimeout(closeTimer)
        done(code, name)
      })
    })
  })

const start = (request: RunRequest): ChildProcess =>
  spawn(request.file, request.args, {
    detached: true,
    cwd: request.cwd,
    env: definedOnly(request.env ?? process.env),
    stdio: [request.stdin === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
  })

const definedOnly = (
  env: Readonly<Record<string, string | undefined>>,
): Record<string, string> =>
  Object.fromEntries(
    Object.entries(env).filter(
      (entry): entry is [string, string] => entry[1] !== undefined,
    ),
  )
