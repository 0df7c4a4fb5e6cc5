import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'

const ticksPerSecond = 100 // USER_HZ, the same on every Linux that Node runs on

/** The fields of /proc/PID/stat after the name of the program (proc(5)); null where there is no such process. */
const statFields = async (
  proc: string,
  pid: number,
): Promise<readonly string[] | null> => {
  const content = await read(join(proc, String(pid), 'stat'))
  // The name stands in brackets and may hold anything
  return content?.slice(content.lastIndexOf(')') + 2).split(' ') ?? null
}

/** Unix time at which a process began (field 22); null where it cannot be told. */
export const startTime = async (proc: string, pid: number): Promise<number | null> => {
  const fields = await statFields(proc, pid)
  const bootStat = await read(join(proc, 'stat'))
  const boot = Number(/^btime (\d+)$/m.exec(bootStat ?? '')?.[1])
  const ticks = Number(fields?.[19])
  return Number.isFinite(boot + ticks) ? boot + ticks / ticksPerSecond : null
}

/** A build hook and the connection that it holds. */
export interface BuildHookProcess {
  /** Is there an ssh among its descendants? */
  readonly hasSsh: boolean
  /** Time that it and they have used of the processors. */
  readonly cpuSeconds: number
}

/** What /proc tells anybody of a hook; null where it is gone, or hidden from us (hidepid). */
export const findBuildHook = async (
  pid: number,
  proc = '/proc',
): Promise<BuildHookProcess | null> => {
  const own = await statFields(proc, pid)
  if (!own) return null
  const names = (await readdir(proc).catch(() => [])).filter(name => /^\d+$/.test(name))
  const all = await Promise.all(
    names.map(async name => ({
      pid: Number(name),
      fields: (await statFields(proc, Number(name))) ?? [],
    })),
  )
  const descendants = new Set([pid])
  // A child may stand before its parent
  for (let sizeBefore = 0; sizeBefore < descendants.size;) {
    sizeBefore = descendants.size
    for (const one of all)
      if (descendants.has(Number(one.fields[1]))) descendants.add(one.pid)
  }
  const family = all.filter(one => descendants.has(one.pid))
  const programs = await Promise.all(
    family.map(one => read(join(proc, String(one.pid), 'comm'))),
  )
  const ticks = family.reduce(
    (sum, { fields }) => sum + Number(fields[11] ?? 0) + Number(fields[12] ?? 0),
    0,
  )
  return {
    hasSsh: programs.some(name => name?.trim() === 'ssh'),
    cpuSeconds: ticks / ticksPerSecond,
  }
}

/** The running nix-daemon of this machine. */
export interface DaemonProcess {
  readonly pid: number
  /** Unix seconds. */
  readonly startedAt: number
  /** PATH of its environment; null where we may not read that. */
  readonly path: string | null
  /** What of its environment ssh goes by; null where we may not read that. */
  readonly env: Readonly<Record<string, string>> | null
}

const sshVariables = /^(PATH|NIX_SSHOPTS|SSH_AUTH_SOCK)=/

/**
 * The newest nix-daemon that listens: neither the workers that it forks for each client, often under its very words, nor
 * the `--stdio` ones of ssh logins. Null where there is none, or no /proc.
 */
export const findDaemon = async (proc = '/proc'): Promise<DaemonProcess | null> => {
  const pids = (await readdir(proc).catch(() => [])).filter(name => /^\d+$/.test(name))
  const found = await Promise.all(
    pids.map(async pid => {
      const name = await read(join(proc, pid, 'comm'))
      if (!/^(?:nix-daemon|nix|determinate-nixd|lix-daemon)\n?$/.test(name ?? ''))
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
      const parent = Number((await statFields(proc, Number(pid)))?.[1])
      return [{ pid: Number(pid), parent, startedAt, path: env?.['PATH'] ?? null, env }]
    }),
  )
  const all = found.flat()
  const listeners = all.filter(({ parent }) => !all.some(({ pid }) => pid === parent))
  const [newest] = listeners.sort((a, b) => b.startedAt - a.startedAt)
  return newest
    ? { pid: newest.pid, startedAt: newest.startedAt, path: newest.path, env: newest.env }
    : null
}

const isListener = ([program = '', ...args]: readonly string[]): boolean => {
  const name = program.split(/[/ ]/).findLast(Boolean) ?? ''
  if (/^\d+$/.test(name) || /^\d+$/.test(args[0] ?? '')) return false
  if (args.includes('--stdio')) return false
  return /(?:nix-daemon|determinate-nixd|lix-daemon)$/.test(name) || args[0] === 'daemon'
}

const read = (path: string): Promise<string | null> =>
  readFile(path, 'utf8').catch(() => null)
