import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { parseProcStat, ticksPerSecond, type ProcStat } from '../../text/proc-stat.ts'

/** Reads /proc/PID/stat; null if there is no such process. */
const readStat = async (proc: string, pid: number): Promise<ProcStat | null> =>
  parseProcStat((await read(join(proc, String(pid), 'stat'))) ?? '')

/** Returns the Unix time at which a process started (field 22); null if unknown. */
export const startTime = async (proc: string, pid: number): Promise<number | null> => {
  const { startTicks = NaN } = (await readStat(proc, pid)) ?? {}
  const bootStat = await read(join(proc, 'stat'))
  const boot = Number(/^btime (\d+)$/m.exec(bootStat ?? '')?.[1])
  return Number.isFinite(boot + startTicks) ? boot + startTicks / ticksPerSecond : null
}

/** A build hook and its descendants. */
export interface BuildHookProcess {
  /** Whether ssh is among the descendants. */
  readonly hasSsh: boolean
  /** CPU time of the hook and its descendants. */
  readonly cpuSeconds: number
}

/** Reads a build hook from /proc; null if it has exited or is hidden from us (hidepid). */
export const findBuildHook = async (
  pid: number,
  proc = '/proc',
): Promise<BuildHookProcess | null> => {
  if (!(await readStat(proc, pid))) return null
  const names = (await readdir(proc).catch(() => [])).filter(name => /^\d+$/.test(name))
  const processes = await Promise.all(
    names.map(async name => ({
      pid: Number(name),
      stat: await readStat(proc, Number(name)),
    })),
  )
  const descendants = new Set([pid])
  // A child can precede its parent in the list
  for (let sizeBefore = 0; sizeBefore < descendants.size;) {
    sizeBefore = descendants.size
    for (const entry of processes)
      if (entry.stat && descendants.has(entry.stat.parent)) descendants.add(entry.pid)
  }
  const family = processes.filter(entry => descendants.has(entry.pid))
  const programs = await Promise.all(
    family.map(entry => read(join(proc, String(entry.pid), 'comm'))),
  )
  const ticks = family.reduce((sum, { stat }) => sum + (stat?.cpuTicks ?? 0), 0)
  return {
    hasSsh: programs.some(name => name?.trim() === 'ssh'),
    cpuSeconds: ticks / ticksPerSecond,
  }
}

/** The running nix-daemon of this machine. */
export interface DaemonProcess {
  readonly pid: number
  /** The effective user; null if unknown. */
  readonly uid: number | null
  /** Unix seconds. */
  readonly startedAt: number
  /** PATH of its environment; null if we cannot read it. */
  readonly path: string | null
  /** Environment variables that affect ssh; null if we cannot read them. */
  readonly env: Readonly<Record<string, string>> | null
}

const sshVariables = /^(PATH|NIX_SSHOPTS|SSH_AUTH_SOCK)=/

/**
 * Finds the newest listening nix-daemon; omits the workers that it forks for each client, often with the same command line,
 * and `--stdio` processes of ssh logins. Null if there is none, or no /proc.
 */
export const findDaemon = async (proc = '/proc'): Promise<DaemonProcess | null> => {
  const pids = (await readdir(proc).catch(() => [])).filter(name => /^\d+$/.test(name))
  const daemons = await Promise.all(
    pids.map(async pid => {
      const name = await read(join(proc, pid, 'comm'))
      // The kernel keeps 15 characters of a name (TASK_COMM_LEN)
      if (!/^(?:nix-daemon|nix|determinate-nix|lix-daemon)\n?$/.test(name ?? ''))
        return []
      const args = (await read(join(proc, pid, 'cmdline')))?.split('\0') ?? []
      if (!isListener(args)) return []
      const startedAt = await startTime(proc, Number(pid))
      if (startedAt === null) return []
      const environment = await read(join(proc, pid, 'environ'))
      const entries = environment?.split('\0').filter(entry => sshVariables.test(entry))
      const env = entries
        ? Object.fromEntries(
            entries.map((entry): [string, string] => {
              const at = entry.indexOf('=')
              return [entry.slice(0, at), entry.slice(at + 1)]
            }),
          )
        : null
      const parent = (await readStat(proc, Number(pid)))?.parent ?? NaN
      const status = await read(join(proc, pid, 'status'))
      const uid = /^Uid:\t\d{1,10}\t(\d{1,10})/m.exec(status ?? '')?.[1]
      return [
        {
          pid: Number(pid),
          uid: uid === undefined ? null : Number(uid),
          parent,
          startedAt,
          path: env?.['PATH'] ?? null,
          env,
        },
      ]
    }),
  )
  const processes = daemons.flat()
  const listeners = processes.filter(
    ({ parent }) => !processes.some(({ pid }) => pid === parent),
  )
  const [newest] = listeners.sort((a, b) => b.startedAt - a.startedAt)
  if (!newest) return null
  const { pid, uid, startedAt, path, env } = newest
  return { pid, uid, startedAt, path, env }
}

const isListener = ([program = '', ...args]: readonly string[]): boolean => {
  const name = program.split(/[/ ]/).findLast(Boolean) ?? ''
  if (/^\d+$/.test(name) || /^\d+$/.test(args[0] ?? '')) return false
  if (args.includes('--stdio')) return false
  return /(?:nix-daemon|determinate-nixd|lix-daemon)$/.test(name) || args[0] === 'daemon'
}

const read = (path: string): Promise<string | null> =>
  readFile(path, 'utf8').catch(() => null)
