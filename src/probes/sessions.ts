import type { Outcome, SessionsValue, TelemetryProbe } from '../model/index.ts'
import { parseSections } from './telemetry/parse-output.ts'

/** A session that has just lost its connection needs a moment to notice it. */
const orphanSeconds = 60
const maxPids = 20

/**
 * Finds processes of Nix's remote protocols whose ssh session is gone: `nix-store --serve` and `nix-daemon --stdio` without
 * an ssh server among their parents (nix issues 16437 and 7584). They hold build users, locks and memory.
 */
export const sessionsProbe: TelemetryProbe<'sessions'> = {
  name: 'sessions',
  summary: 'processes of Nix sessions whose client is gone',
  script: `
echo "== processes"
ps -eo pid=,ppid=,etime=,args= 2>/dev/null | grep -E '^ *1 |[n]ix-daemon .*--stdio|[n]ix-daemon --stdio|[n]ix-store .*--serve|[s]shd|[d]ropbear|[t]ailscaled' | cut -c 1-160 | head -n 2000
`,
  parse: output => {
    const processes = parseProcesses(parseSections(output).get('processes') ?? '')
    // Without the first process others are hidden too (hidepid), and with them the parents
    if (!processes.has(1)) return noData
    const sessions = [...processes.values()].filter(({ isSession }) => isSession)
    const orphans = sessions.filter(
      one => one.seconds >= orphanSeconds && !hasServer(one, processes),
    )
    const value: SessionsValue = {
      sessions: sessions.length,
      orphans: orphans.slice(0, maxPids).map(({ pid, seconds }) => ({ pid, seconds })),
      orphanCount: orphans.length,
    }
    return { status: 'ok', value }
  },
  samples: ({ sessions, orphans, orphanCount }, { name: builder }) => [
    { family: 'nix_builder_sessions', labels: { builder }, value: sessions },
    { family: 'nix_builder_orphaned_sessions', labels: { builder }, value: orphanCount },
    {
      family: 'nix_builder_orphaned_session_oldest_seconds',
      labels: { builder },
      value: Math.max(0, ...orphans.map(({ seconds }) => seconds)),
    },
  ],
}

const noData: Outcome<never> = {
  status: 'skipped',
  kind: 'no_data',
  params: { detail: 'no process list' },
}

interface Process {
  readonly pid: number
  readonly parent: number
  readonly seconds: number
  readonly isSession: boolean
  readonly isServer: boolean
}

const parseProcesses = (text: string): ReadonlyMap<number, Process> =>
  new Map(
    text.split('\n').flatMap((line): [number, Process][] => {
      const [, pid, parent, elapsed = '', args = ''] =
        /^ {0,10}(\d{1,10}) {1,10}(\d{1,10}) {1,20}([\d:-]{1,20}) (.{0,200})$/.exec(
          line,
        ) ?? []
      const seconds = parseElapsed(elapsed)
      if (pid === undefined || seconds === null) return []
      const [program = ''] = args.split(' ', 1)
      const name = program.slice(program.lastIndexOf('/') + 1)
      return [
        [
          Number(pid),
          {
            pid: Number(pid),
            parent: Number(parent),
            seconds,
            isSession:
              /^nix(?:-daemon|-store)?$/.test(name) && /--(?:stdio|serve)\b/.test(args),
            isServer: /^(?:sshd|dropbear|tailscaled)/.test(name),
          },
        ],
      ]
    }),
  )

/** Parses the elapsed time of ps(1), `[[DD-]hh:]mm:ss`, in seconds; null for other text. */
const parseElapsed = (text: string): number | null => {
  const [, days = '0', hours = '0', minutes, seconds] =
    /^(?:(?:(\d{1,6})-)?(\d{1,2}):)?(\d{1,2}):(\d{1,2})$/.exec(text) ?? []
  return minutes === undefined || seconds === undefined
    ? null
    : ((Number(days) * 24 + Number(hours)) * 60 + Number(minutes)) * 60 + Number(seconds)
}

/** Whether an ssh server is among the parents. A parent that is not in the list is the login shell of the session. */
const hasServer = (start: Process, processes: ReadonlyMap<number, Process>): boolean => {
  let current: Process | undefined = start
  for (let depth = 0; current && depth < 10; depth++) {
    if (current.isServer) return true
    if (current.parent <= 1) return false
    const parent = processes.get(current.parent)
    // systemd's user manager adopts orphans too, but so can a shell be in between: the latter is not an orphan
    if (!parent) return true
    current = parent
  }
  return false
}
