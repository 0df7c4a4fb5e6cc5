import { spawn } from 'node:child_process'
import { Duplex, Writable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { shellQuote } from '../../nix/protocol/store-command.ts'
import type { SshTarget } from './ssh-config.ts'

/** A stream through a proxy, and what the proxy said on stderr. */
export interface ProxyStream {
  readonly stream: Duplex
  /** What it said, capped, once it is over or a moment has passed; for classification when the stream ends early. */
  readonly stderrTail: () => Promise<string>
  readonly name: string
  close(): void
}

const maxStderr = 8 * 1024
/** How long a proxy may take to obey SIGTERM. */
const graceMs = 1500
/** How long its stderr may come after its stdout. */
const stderrDrainMs = 1500

/**
 * The shell command of ProxyJump or ProxyCommand with ssh's tokens expanded, or null where there is no proxy. `options`
 * are those of the ssh whose proxy it is: a jump reads the same configuration file (ssh.c).
 */
export const proxyShellCommand = (
  target: SshTarget,
  connectTimeout: number,
  sshOptions: readonly string[] = [],
): string | null => {
  if (target.proxyCommand) {
    const tokens: Record<string, string> = {
      h: target.hostname,
      p: String(target.port),
      r: target.user,
      n: target.hostname,
      '%': '%',
    }
    return `exec ${target.proxyCommand.replace(/%([hprn%])/g, (_, t: string) => tokens[t] ?? '')}`
  }
  if (!target.proxyJump) return null
  const { before, user, port, host } = parseLastHop(target.proxyJump)
  const options = [
    '-oBatchMode=yes',
    `-oConnectTimeout=${connectTimeout}`,
    '-oClearAllForwardings=no',
  ]
  const config = findConfigFile(sshOptions)
  const configArgs = config === null ? [] : ['-F', config]
  const forward = `[${target.hostname}]:${target.port}`
  return [
    'exec ssh',
    ...options,
    ...configArgs,
    ...(before ? ['-J', before] : []),
    ...(user === null ? [] : ['-l', user]),
    ...(port === null ? [] : ['-p', port]),
    '-W',
    forward,
    '--',
    host,
  ]
    .map((word, i) => (i === 0 ? word : shellQuote(word)))
    .join(' ')
}

/** The words of ProxyJump: `[user@]host[:port]`, several with commas between them (ssh_config(5)). */
export const parseLastHop = (
  proxyJump: string,
): {
  readonly before: string
  readonly user: string | null
  readonly host: string
  readonly port: string | null
} => {
  const hops = proxyJump.split(',')
  const last = hops.pop()!
  const uri = /^(?:([^@]+)@)?(\[[^\]]+\]|[^:]+)(?::(\d+))?$/.exec(
    last.replace(/^ssh:\/\//, ''),
  )
  return {
    before: hops.join(','),
    user: uri?.[1] ?? null,
    host: (uri?.[2] ?? last).replace(/^\[|\]$/g, ''),
    port: uri?.[3] ?? null,
  }
}

export const findConfigFile = (options: readonly string[]): string | null => {
  const at = options.findIndex(option => option.startsWith('-F'))
  return at < 0 ? null : options[at]!.slice(2) || (options[at + 1] ?? null)
}

/** Starts the proxy in its own process group; closing the stream ends it. */
export const openProxy = (
  shellCommand: string,
  name: string,
  env: Readonly<Record<string, string | undefined>>,
): ProxyStream => {
  const child = spawn('/bin/sh', ['-c', shellCommand], {
    detached: true,
    env: { ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  let stderr = ''
  child.stderr.on('data', (chunk: Buffer) => {
    if (stderr.length < maxStderr) stderr += chunk.toString('utf8')
  })
  child.on('error', error => {
    stderr += `${error.message}\n`
    stream.destroy()
  })
  child.stdin.on('error', () => undefined) // EPIPE: the proxy went first
  const stream = Duplex.from({
    readable: child.stdout,
    writable: ignoreWriteErrors(child.stdin),
  })
  const kill = (signal: NodeJS.Signals) => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, signal)
    } catch {
      // ESRCH: already gone
    }
  }
  let killTimer: NodeJS.Timeout | undefined
  const close = () => {
    stream.destroy()
    if (killTimer || child.exitCode !== null || child.signalCode !== null) return
    kill('SIGTERM')
    killTimer = setTimeout(() => kill('SIGKILL'), graceMs)
  }
  child.once('exit', () => {
    clearTimeout(killTimer)
    // What it started and left behind
    kill('SIGKILL')
  })
  stream.on('error', () => undefined)
  stream.on('close', close)
  const exited = new Promise<void>(resolve => child.once('close', () => resolve()))
  const stderrTail = async () => {
    const timer = new AbortController()
    await Promise.race([exited, sleep(stderrDrainMs, null, timer).catch(() => null)])
    timer.abort()
    return stderr
  }
  return { stream, stderrTail, name, close }
}

/** Writes on whether or not it arrives: what a proxy said before it went is still to be read, and its end is told there. */
const ignoreWriteErrors = (to: Writable): Writable =>
  new Writable({
    write: (chunk: Buffer, _encoding, done) => void to.write(chunk, () => done()),
    writev: (chunks, done) =>
      void to.write(Buffer.concat(chunks.map(({ chunk }) => chunk as Buffer)), () =>
        done(),
      ),
    final: done => void to.end(() => done()),
  })
