import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Channel, Connection, Run } from '../../model/index.ts'
import { parsePresentedCertificates, type Certificate } from './certificate.ts'
import { createSemaphore } from './semaphore.ts'
import type { SshCommand } from './ssh-command.ts'

export interface OpensshResult {
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
  callback: (options: readonly string[]) => Promise<T>,
): Promise<T> => {
  if (pinnedLine === null) return callback([])
  const directory = await mkdtemp(join(tmpdir(), 'builder-monitor-'))
  try {
    const file = join(directory, 'host-key')
    await writeFile(file, pinnedLine, { mode: 0o600 })
    return await callback([`-oUserKnownHostsFile=${file}`])
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

/**
 * Asks the real ssh whether it can log in, since ssh2 is not ssh: it knows no certificates, security keys or
 * post-quantum key exchange. LocalCommand speaks right after authentication, as in Nix's own start (libstore/ssh.cc).
 */
export const tryOpenssh = (
  command: SshCommand,
  pinnedLine: string | null,
  run: Run,
  env: Env,
  signal: AbortSignal,
): Promise<OpensshResult> =>
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
      stderr: stripVerboseOutput(stderr),
      hostCertificates: parsePresentedCertificates(stderr),
    }
  })

const stripVerboseOutput = (stderr: string): string =>
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
  const semaphore = createSemaphore(2)
  const channels = new Set<Channel>()
  const closing = new AbortController()
  let resolveClosed: (reason: string) => void = () => undefined
  const closed = new Promise<string>(resolve => (resolveClosed = resolve))
  return {
    closed,
    close: () => {
      closing.abort(new Error('the connection is closed'))
      for (const channel of channels) channel.close()
      resolveClosed('closed')
    },
    open: async (remoteCommand, signal) => {
      const release = await semaphore.acquire(AbortSignal.any([signal, closing.signal]))
      try {
        const keyFile = await writePinnedKeyFile(pinnedLine)
        const args = [...command.options, ...keyFile.options, ...safeOptions(8), '--']
        if (closing.signal.aborted) {
          keyFile.remove()
          throw closing.signal.reason
        }
        const channel = startSsh([...args, command.destination, remoteCommand], env)
        channels.add(channel)
        void channel.exit.then(() => {
          release()
          channels.delete(channel)
          keyFile.remove()
        })
        return channel
      } catch (error) {
        release()
        throw error
      }
    },
  }
}

/** The pinned key in a file that lives as long as a channel. */
const writePinnedKeyFile = async (
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
  let killTimer: NodeJS.Timeout | undefined
  const exit = new Promise<{ code: number | null; signal: string | null }>(resolve => {
    const resolveExit = (code: number | null, name: string | null) => {
      clearTimeout(killTimer)
      resolve({ code, signal: name })
    }
    child.on('error', () => resolveExit(null, null))
    child.on('close', resolveExit)
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
      if (killTimer || child.exitCode !== null || child.signalCode !== null) return
      kill('SIGTERM')
      killTimer = setTimeout(() => kill('SIGKILL'), graceMs)
    },
  }
}
