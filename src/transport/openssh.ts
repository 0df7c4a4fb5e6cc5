import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Channel, Connection, Run } from '../model.ts'
import { presentedCertificates, type Certificate } from './certificate.ts'
import { createGate } from './gate.ts'
import type { SshCommand } from './ssh-command.ts'

export interface OpensshAnswer {
  /** True when the real ssh logged in. */
  readonly loggedIn: boolean
  /** Without what only `-v` says. */
  readonly stderr: string
  /** Certificates that hosts presented. */
  readonly hostCertificates: readonly Certificate[]
}

/** How long ssh may take to obey SIGTERM. */
const graceMs = 1500

type Env = Readonly<Record<string, string | undefined>>

const safeOptions = (connectTimeout: number): string[] => [
  '-x',
  '-T',
  '-oBatchMode=yes',
  `-oConnectTimeout=${connectTimeout}`,
  '-oControlMaster=no',
  '-oControlPath=none',
  '-oUpdateHostKeys=no',
  '-oForwardAgent=no',
]

/** Runs `use` with the options that carry a pinned key, in a known_hosts file like Nix's own, removed afterwards. */
const withPinnedKey = async <T>(
  pinnedLine: string | null,
  use: (options: readonly string[]) => Promise<T>,
): Promise<T> => {
  if (pinnedLine === null) return use([])
  const directory = await mkdtemp(join(tmpdir(), 'builder-monitor-'))
  try {
    const file = join(directory, 'host-key')
    await writeFile(file, pinnedLine, { mode: 0o600 })
    return await use([`-oUserKnownHostsFile=${file}`])
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

/**
 * Asks the real ssh whether it can log in, since ssh2 is not ssh: it knows no certificates, security keys or
 * post-quantum key exchange. LocalCommand speaks right after authentication, as in Nix's own start (libstore/ssh.cc).
 */
export const askOpenssh = (
  command: SshCommand,
  pinnedLine: string | null,
  run: Run,
  env: Env,
  signal: AbortSignal,
): Promise<OpensshAnswer> =>
  withPinnedKey(pinnedLine, async pinned => {
    const { stdout, stderr } = await run({
      file: 'ssh',
      args: [
        ...command.options,
        ...pinned,
        ...safeOptions(8),
        '-oPermitLocalCommand=yes',
        '-oLocalCommand=echo started',
        // Only so does ssh tell which certificate the host presented
        '-v',
        '--',
        command.destination,
        'exit 0',
      ],
      env: { ...env, TZ: 'UTC' },
      signal,
      maxBytes: 64 * 1024,
    })
    return {
      loggedIn: stdout.startsWith('started'),
      stderr: withoutVerbosity(stderr),
      hostCertificates: presentedCertificates(stderr),
    }
  })

const withoutVerbosity = (stderr: string): string =>
  stderr
    .split('\n')
    .filter(
      line =>
        !/^(?:debug[123]: |OpenSSH_\S+ |OpenSSH_\S+,|Authenticated to |Transferred: |Bytes per second: )/.test(
          line,
        ),
    )
    .join('\n')

/** A connection whose every channel is an ssh of its own. Slower and dearer, for builders that ssh2 cannot reach. */
export const opensshConnection = (
  command: SshCommand,
  pinnedLine: string | null,
  env: Env,
): Connection => {
  const gate = createGate(2)
  const channels = new Set<Channel>()
  const closing = new AbortController()
  let end: (reason: string) => void = () => undefined
  const closed = new Promise<string>(resolve => (end = resolve))
  return {
    closed,
    close: () => {
      closing.abort(new Error('the connection is closed'))
      for (const channel of channels) channel.close()
      end('closed')
    },
    open: async (remoteCommand, signal) => {
      const leave = await gate.enter(AbortSignal.any([signal, closing.signal]))
      try {
        const pin = await pinFile(pinnedLine)
        const args = [...command.options, ...pin.options, ...safeOptions(8), '--']
        if (closing.signal.aborted) {
          pin.remove()
          throw closing.signal.reason
        }
        const channel = startSsh([...args, command.destination, remoteCommand], env)
        channels.add(channel)
        void channel.exit.then(() => {
          leave()
          channels.delete(channel)
          pin.remove()
        })
        return channel
      } catch (error) {
        leave()
        throw error
      }
    },
  }
}

/** The pinned key in a file that lives as long as a channel. */
const pinFile = async (
  pinnedLine: string | null,
): Promise<{ options: readonly string[]; remove: () => void }> => {
  if (pinnedLine === null) return { options: [], remove: () => undefined }
  const directory = await mkdtemp(join(tmpdir(), 'builder-monitor-'))
  const remove = () => {
    rm(directory, { recursive: true, force: true }).catch(() => undefined)
  }
  const file = join(directory, 'host-key')
  try {
    await writeFile(file, pinnedLine, { mode: 0o600 })
  } catch (error) {
    remove()
    throw error
  }
  return { options: [`-oUserKnownHostsFile=${file}`], remove }
}

const startSsh = (args: readonly string[], env: Env): Channel => {
  const child = spawn('ssh', args, {
    detached: true,
    env: { ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  const kill = (signal: NodeJS.Signals) => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, signal)
    } catch {
      // ESRCH: already gone
    }
  }
  child.stdin.on('error', () => undefined)
  let late: NodeJS.Timeout | undefined
  const exit = new Promise<{ code: number | null; signal: string | null }>(resolve => {
    const over = (code: number | null, name: string | null) => {
      clearTimeout(late)
      resolve({ code, signal: name })
    }
    child.on('error', () => over(null, null))
    child.on('close', over)
  })
  // A proxy of ssh that outlives it
  child.once('exit', () => kill('SIGKILL'))
  return {
    stdin: child.stdin,
    stdout: child.stdout,
    stderr: child.stderr,
    exit,
    close: () => {
      // What nobody reads would keep the child from being over
      child.stdout.destroy()
      child.stderr.destroy()
      if (late || child.exitCode !== null || child.signalCode !== null) return
      kill('SIGTERM')
      late = setTimeout(() => kill('SIGKILL'), graceMs)
    },
  }
}
