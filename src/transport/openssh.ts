import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Channel, Connection, Run } from '../model.ts'
import { createGate } from './gate.ts'
import type { SshCommand } from './ssh-command.ts'

export interface OpensshAnswer {
  /** True when the real ssh logged in. */
  readonly loggedIn: boolean
  readonly stderr: string
}

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
        '--',
        command.destination,
        'exit 0',
      ],
      env,
      signal,
      maxBytes: 16 * 1024,
    })
    return { loggedIn: stdout.startsWith('started'), stderr }
  })

/** A connection whose every channel is an ssh of its own. Slower and dearer, for builders that ssh2 cannot reach. */
export const opensshConnection = (
  command: SshCommand,
  pinnedLine: string | null,
  env: Env,
): Connection => {
  const gate = createGate(2)
  const channels = new Set<Channel>()
  let end: (reason: string) => void = () => undefined
  const closed = new Promise<string>(resolve => (end = resolve))
  return {
    closed,
    close: () => {
      for (const channel of channels) channel.close()
      end('closed')
    },
    open: async (remoteCommand, signal) => {
      const leave = await gate.enter(signal)
      const directory =
        pinnedLine === null ? null : await mkdtemp(join(tmpdir(), 'builder-monitor-'))
      if (directory) await writeFile(join(directory, 'host-key'), pinnedLine ?? '')
      const pinned = directory
        ? [`-oUserKnownHostsFile=${join(directory, 'host-key')}`]
        : []
      const args = [...command.options, ...pinned, ...safeOptions(8), '--']
      const child = spawn('ssh', [...args, command.destination, remoteCommand], {
        detached: true,
        env: { ...env } as NodeJS.ProcessEnv,
        stdio: ['pipe', 'pipe', 'pipe'],
      })
      child.stdin.on('error', () => undefined)
      const exit = new Promise<{ code: number | null; signal: string | null }>(
        resolve => {
          const over = (code: number | null, name: string | null) => {
            leave()
            channels.delete(channel)
            if (directory) void rm(directory, { recursive: true, force: true })
            resolve({ code, signal: name })
          }
          child.on('error', () => over(null, null))
          child.on('close', over)
        },
      )
      const channel: Channel = {
        stdin: child.stdin,
        stdout: child.stdout,
        stderr: child.stderr,
        exit,
        close: () => {
          try {
            if (child.pid !== undefined) process.kill(-child.pid, 'SIGTERM')
          } catch {
            // ESRCH: already gone
          }
        },
      }
      channels.add(channel)
      return channel
    },
  }
}
