/** Clock ticks per second in /proc: USER_HZ, the same on every Linux that Node runs on. */
export const ticksPerSecond = 100

/** A process in /proc/PID/stat (proc_pid_stat(5)). */
export interface ProcStat {
  readonly name: string
  readonly parent: number
  /** User and system time, ticks. */
  readonly cpuTicks: number
  /** Ticks since boot; with the PID it identifies a process. NaN if it is missing. */
  readonly startTicks: number
}

/** Parses /proc/PID/stat; null for anything else. */
export const parseProcStat = (text: string): ProcStat | null => {
  // The program name is in parentheses and can contain anything
  const end = text.lastIndexOf(')')
  if (end < 0) return null
  const fields = text.slice(end + 2).split(' ')
  return {
    name: text.slice(text.indexOf('(') + 1, end),
    parent: Number(fields[1]),
    cpuTicks: Number(fields[11] ?? 0) + Number(fields[12] ?? 0),
    startTicks: Number(fields[19] ?? NaN),
  }
}
