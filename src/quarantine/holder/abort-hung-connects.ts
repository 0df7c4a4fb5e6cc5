import { readFile, readdir, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import type { Log } from '../../log/log.ts'
import { parseProcStat, ticksPerSecond, type ProcStat } from '../../text/proc-stat.ts'
import { endpointOf, parseTcpSockets } from '../tcp-sockets.ts'

export interface AbortDeps {
  readonly log: Log
  readonly kill: (pid: number) => void
  /** Mount point of proc. */
  readonly proc?: string
}

/** Ends ssh processes of build hooks that hang in their connect. */
export interface AbortHungConnects {
  /** Looks at all processes once. `endpoints`: `ADDRESS port N` of quarantined builders. */
  look(endpoints: ReadonlySet<string>): Promise<void>
}

/** A connect that hangs for less may still succeed, seconds. */
const hungSeconds = 5
/** SYNs are repeated after 1, 3 and 7 s: this many say that the connect hangs for longer than 3 s. */
const hungRetransmits = 2
/** Longer chains of processes do not exist between a hook and its ssh. */
const maxAncestors = 8

interface Process extends ProcStat {
  readonly pid: number
}

/**
 * Nix then takes the next machine by itself (build-remote.cc: a machine that cannot be connected is disabled for that hook).
 * A connection that was established is never touched, and neither is a process that is not a descendant of a build hook.
 */
export const createAbortHungConnects = (deps: AbortDeps): AbortHungConnects => {
  const { log, kill, proc = '/proc' } = deps
  return {
    look: async endpoints => {
      if (endpoints.size === 0) return
      const uptime = Number((await read(join(proc, 'uptime')))?.split(' ')[0])
      const processes = await readProcesses(proc)
      for (const ssh of processes.values()) {
        if (ssh.name !== 'ssh' || !(await isOfBuildHook(ssh, processes, proc))) continue
        if (!(uptime - ssh.startTicks / ticksPerSecond > hungSeconds)) continue
        const endpoint = await connectingTo(ssh, proc)
        if (endpoint === null || !endpoints.has(endpoint)) continue
        // The same process still, not another one with its number
        if ((await readProcess(proc, ssh.pid))?.startTicks !== ssh.startTicks) continue
        log.info({ pid: ssh.pid, endpoint }, 'ended an ssh that hung in its connect')
        kill(ssh.pid)
      }
    },
  }
}

const read = (path: string): Promise<string | null> =>
  readFile(path, 'utf8').catch(() => null)

const readProcess = async (proc: string, pid: number): Promise<Process | null> => {
  const stat = parseProcStat((await read(join(proc, String(pid), 'stat'))) ?? '')
  return stat && { ...stat, pid }
}

const readProcesses = async (proc: string): Promise<ReadonlyMap<number, Process>> => {
  const names = (await readdir(proc)).filter(name => /^\d+$/.test(name))
  const all = await Promise.all(names.map(name => readProcess(proc, Number(name))))
  return new Map(all.flatMap(one => (one ? [[one.pid, one]] : [])))
}

/** Whether an ancestor is Nix's build hook: `nix __build-remote`, or `build-remote` in old versions. */
const isOfBuildHook = async (
  ssh: Process,
  processes: ReadonlyMap<number, Process>,
  proc: string,
): Promise<boolean> => {
  let ancestor = processes.get(ssh.parent)
  for (let i = 0; ancestor && i < maxAncestors; i++) {
    const [program = '', command = ''] =
      (await read(join(proc, String(ancestor.pid), 'cmdline')))?.split('\0') ?? []
    if (command === '__build-remote' || /(?:^|\/)build-remote$/.test(program)) return true
    ancestor = processes.get(ancestor.parent)
  }
  return false
}

/** Returns where a process waits in its connect, if that is its only TCP connection; null otherwise. */
const connectingTo = async ({ pid }: Process, proc: string): Promise<string | null> => {
  const directory = join(proc, String(pid), 'fd')
  const fds = await readdir(directory).catch(() => [])
  const links = await Promise.all(
    fds.map(fd => readlink(join(directory, fd)).catch(() => '')),
  )
  const inodes = new Set(
    links.flatMap(link => /^socket:\[(\d+)\]$/.exec(link)?.[1] ?? []),
  )
  // The connections of the network namespace of that process
  const tables = await Promise.all(
    ['tcp', 'tcp6'].map(name => read(join(proc, String(pid), 'net', name))),
  )
  const own = tables
    .flatMap(text => parseTcpSockets(text ?? ''))
    .filter(({ inode }) => inodes.has(inode))
  const [first] = own
  const hangs = first?.state === 'syn_sent' && first.retransmits >= hungRetransmits
  return own.length === 1 && hangs ? endpointOf(first) : null
}
