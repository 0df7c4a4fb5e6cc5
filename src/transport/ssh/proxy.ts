import { spawn } from 'node:child_process'
import { Duplex, Writable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { shellQuote } from '../../nix/protocol/store-command.ts'
import { killGroup, terminateGroup } from '../process-group.ts'
import type { SshCommand } from './ssh-command.ts'
import type { SshTarget } from './ssh-config.ts'
import { createUtf8Decoder } from '../../text/utf8.ts'

/** A stream through a proxy, with the proxy's stderr. */
export interface ProxyStream {
  readonly stream: Duplex
  /** Returns the proxy's stderr, limited in size, after its exit or a short wait; explains a stream that ended early. */
  readonly stderrTail: () => Promise<string>
  readonly name: string
  close(): void
}

const maxStderr = 8 * 1024
/** Wait for stderr after the end of stdout. */
const stderrDrainMs = 1500

/**
 * Returns the shell command of ProxyJump or ProxyCommand with ssh's tokens expanded (ssh_config(5) TOKENS); null without a
 * proxy. `command` is the outer ssh: `%n` is the host of its command line, and a jump reads the same configuration file
 * (ssh.c).
 */
export const proxyShellCommand = (
  target: SshTarget,
  command: Pick<SshCommand, 'destination' | 'options'>,
  connectTimeout: number,
): string | null => {
  if (target.proxyCommand) {
    const tokens: Record<string, string> = {
      h: target.hostname,
      p: String(target.port),
      r: target.user,
      n: command.destination.slice(command.destination.lastIndexOf('@') + 1),
      '%': '%',
    }
    return `exec ${target.proxyCommand.replace(/%([hprn%])/g, (_, t: string) => tokens[t] ?? '')}`
  }
  if (!target.proxyJump) return null
  const { before, user, port, host } = parseLastHop(target.proxyJump)
  const options = [
    '-oBatchMode=yes',
    `-oConnectTimeout=${connectTimeout}`,
    // Those of ssh_config for the jump host
    '-oClearAllForwardings=yes',
  ]
  const config = findConfigFile(command.options)
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

/** Parses the last hop of ProxyJump: `[user@]host[:port]`, comma-separated (ssh_config(5)). */
export const parseLastHop = (
  proxyJump: string,
): {
  readonly before: string
  readonly user: string | null
  readonly host: string
  readonly port: string | null
} => {
  const hops = proxyJump.split(',')
  const lastHop = hops.pop()!
  const uri = /^(?:([^@]+)@)?(\[[^\]]+\]|[^:]+)(?::(\d+))?$/.exec(
    lastHop.replace(/^ssh:\/\//, ''),
  )
  return {
    before: hops.join(','),
    user: uri?.[1] ?? null,
    host: (uri?.[2] ?? lastHop).replace(/^\[|\]$/g, ''),
    port: uri?.[3] ?? null,
  }
}

/** Returns the file of the first `-F` option. */
export const findConfigFile = (options: readonly string[]): string | null => {
  const at = options.findIndex(option => option.startsWith('-F'))
  return at < 0 ? null : options[at]!.slice(2) || (options[at + 1] ?? null)
}

/** Starts the proxy in its own process group; closing the stream terminates it. */
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
  const decode = createUtf8Decoder()
  child.stderr.on('data', (chunk: Buffer) => {
    if (stderr.length < maxStderr) stderr += decode(chunk)
  })
  child.on('error', error => {
    stderr += `${error.message}\n`
    stream.destroy()
  })
  child.stdin.on('error', () => undefined) // EPIPE: the proxy exited first
  const stream = Duplex.from({
    readable: child.stdout,
    writable: ignoreWriteErrors(child.stdin),
  })
  let killTimer: NodeJS.Timeout | undefined
  const close = () => {
    stream.destroy()
    if (killTimer || child.exitCode !== null || child.signalCode !== null) return
    killTimer = terminateGroup(child)
  }
  child.once('exit', () => {
    clearTimeout(killTimer)
    // Children that it left behind
    killGroup(child, 'SIGKILL')
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

/** Ignores write errors: the proxy may exit first, and its stdout must still be read; the exit is reported there. */
const ignoreWriteErrors = (to: Writable): Writable =>
  new Writable({
    write: (chunk: Buffer, _encoding, done) => void to.write(chunk, () => done()),
    writev: (chunks, done) =>
      void to.write(Buffer.concat(chunks.map(({ chunk }) => chunk as Buffer)), () =>
        done(),
      ),
    final: done => void to.end(() => done()),
  })
