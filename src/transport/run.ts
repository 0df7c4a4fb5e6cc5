import { spawn, type ChildProcess } from 'node:child_process'
import { StringDecoder } from 'node:string_decoder'
import type { Run, RunRequest, RunResult } from '../model/index.ts'
import { killGroup, terminateGroup } from './process-group.ts'

const defaultMaxBytes = 256 * 1024
/** Collects output up to a limit and drops the rest. */
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

/** Splits a stream into lines, cut at `maxLine` characters. Buffers at most one line. */
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
 * Creates a function that runs programs, each in its own process group, so that an abort also ends its children (ssh,
 * hooks). Standard input is /dev/null unless given. Never rejects: errors are in the result.
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
      // spawn throws for a NUL in an argument instead of emitting an error
      const { code, message } = error as NodeJS.ErrnoException
      return finish({ code: null, signal: null, spawnError: code ?? message })
    }
    const lines = request.onStderrLine && lineSplitter(request.onStderrLine)
    const decoder = new StringDecoder('utf8')
    let killTimer: NodeJS.Timeout | undefined
    const abort = () => {
      killTimer = terminateGroup(child)
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
    child.stdin?.on('error', () => undefined) // EPIPE: the child did not read its input
    if (request.stdin !== undefined) child.stdin?.end(request.stdin)

    let settled = false
    const done = (code: number | null, name: NodeJS.Signals | null) => {
      if (settled) return
      settled = true
      signal.removeEventListener('abort', abort)
      if (killTimer) clearTimeout(killTimer)
      // Surviving children would keep build slots or the pipes open
      killGroup(child, 'SIGKILL')
      lines?.end()
      finish({ code, signal: name, spawnError })
    }
    child.on('exit', (code, name) => {
      // 'close' follows at once unless a grandchild keeps the pipes open. setImmediate lets a starved event loop read
      // the pipes once more before the timer's result counts
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
