import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Channel, Connection, Run } from '../../model/index.ts'
import { parsePresentedCertificates, type Certificate } from './certificate.ts'
import { killGroup, terminateGroup } from '../process-group.ts'
import { createSemaphore } from './semaphore.ts'
import type { SshCommand } from './ssh-command.ts'

export interface OpensshResult {
  /** True if OpenSSH logged in. */
  readonly loggedIn: boolean
  /** True if it was ended at the deadline. */
  readonly timedOut: boolean
  /** Without the output of `-v`. */
  readonly stderr: string
  /** Certificates presented by hosts. */
  readonly hostCertificates: readonly Certificate[]
}

type Env = Readonly<Record<string, string | undefined>>

/** What none of our logins does. Precedes NIX_SSHOPTS, because ssh uses the first value of each option. */
export const harmlessOptions: readonly string[] = [
  '-oBatchMode=yes',
  '-oControlMaster=no',
  '-oControlPath=none',
  '-oUpdateHostKeys=no',
  '-oForwardAgent=no',
  // Each of our logins would open the forwardings of ssh_config again
  '-oClearAllForwardings=yes',
]

const ownOptions: readonly string[] = ['-x', '-T', ...harmlessOptions]

/** Includes the key exchange, for which it leaves 3 s. A ConnectTimeout of NIX_SSHOPTS precedes it. */
const connectTimeout = (ms: number): string =>
  `-oConnectTimeout=${Math.ceil(ms / 1000) + 3}`
/** The hard deadline: the signal of a channel ends it earlier. */
const channelConnectMs = 60_000

/** Calls `callback` with options for a pinned key in a temporary known_hosts file, as Nix does. */
const withPinnedKey = async <T>(
  pinnedLine: string | null,
  callback: (options: readonly string[]) => Promise<T>,
): Promise<T> => {
  const keyFile = await openPinnedKey(pinnedLine)
  try {
    return await callback(keyFile.options)
  } finally {
    keyFile.remove()
  }
}

/**
 * Tries a login with OpenSSH, because ssh2 lacks certificates, security keys and post-quantum key exchange. LocalCommand
 * prints right after authentication, as in Nix's own start (libstore/ssh.cc).
 */
export const tryOpenssh = (
  command: SshCommand,
  pinnedLine: string | null,
  run: Run,
  env: Env,
  signal: AbortSignal,
  connectMs: number,
): Promise<OpensshResult> =>
  withPinnedKey(pinnedLine, async pinned => {
    const { stdout, stderr, aborted } = await run({
      file: 'ssh',
      args: [
        command.destination,
        ...ownOptions,
        ...command.options,
        ...pinned,
        connectTimeout(connectMs),
        '-oPermitLocalCommand=yes',
        '-oLocalCommand=echo started',
        // ssh prints the host certificate only with -v
        '-v',
        '--',
        'exit 0',
      ],
      env: { ...env, TZ: 'UTC' },
      signal,
      maxBytes: 64 * 1024,
    })
    return {
      loggedIn: stdout.startsWith('started'),
      timedOut: aborted,
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

/** Creates a connection that starts one ssh process per channel. Slower and more expensive; for builders that ssh2 cannot log in to. */
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
        const keyFile = await openPinnedKey(pinnedLine)
        const args = [
          command.destination,
          ...ownOptions,
          ...command.options,
          ...keyFile.options,
          connectTimeout(channelConnectMs),
          '--',
        ]
        if (closing.signal.aborted) {
          keyFile.remove()
          throw closing.signal.reason
        }
        const channel = startSsh([...args, remoteCommand], env)
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

/** Writes the pinned key to a known_hosts file, as Nix does. Returns the option that names it, and a function that removes it. */
export const openPinnedKey = async (
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

/** Starts ssh in a process group of its own, which ends with the channel. */
export const startSsh = (args: readonly string[], env: Env): Channel => {
  const child = spawn('ssh', args, {
    detached: true,
    env: { ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
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
  // A proxy can outlive ssh
  child.once('exit', () => killGroup(child, 'SIGKILL'))
  return {
    stdin: child.stdin,
    stdout: child.stdout,
    stderr: child.stderr,
    exit,
    close: () => {
      // Unread output would delay the child's close event
      child.stdout.destroy()
      child.stderr.destroy()
      if (killTimer || child.exitCode !== null || child.signalCode !== null) return
      killTimer = terminateGroup(child)
    },
  }
}
