import type { LocksValue, Outcome, TelemetryProbe } from '../model/index.ts'
import { parseProcStat, ticksPerSecond } from '../text/proc-stat.ts'
import { oneLine } from '../text/truncate.ts'
import { parseSections, parseNumber, parseKeyValues } from './telemetry/parse-output.ts'
import {
  formatDevice,
  findMountDevice,
  parseLocks,
  type FileLock,
} from './slots/file-locks.ts'

/**
 * Reads what builds of all clients wait for on the builder: the locks of the garbage collector, of the store (big-lock,
 * local-store.cc) and of its database (SQLite locks the file, or -shm in WAL mode), and the build users, from
 * /proc/locks, which every user can read. Takes no lock itself. Skipped without /proc/locks (Darwin) or without access to
 * the state directory. Lock files: gc.cc, user-lock.cc (2.8, 2.26 and 2.34).
 */
export const locksProbe: TelemetryProbe<'locks'> = {
  name: 'locks',
  summary:
    'whether the garbage collector blocks builds, and how many build users are in use',
  script: `
[ -r /proc/locks ] || return 0
state=/nix/var/nix
echo "== clock"
echo "now $(date +%s)"
grep '^btime ' /proc/stat
echo "== files"
files=$(stat -c '%d %i %n' $state/gc.lock $state/db/big-lock $state/db/db.sqlite $state/db/db.sqlite-shm $state/userpool/[0-9]* $state/userpool2/slot-* 2>/dev/null)
[ -z "$files" ] || echo "$files"
echo "== mounts"
sed -nE '/^[^ ]+ [^ ]+ [^ ]+ [^ ]+ \\/(nix[^ ]*)? /{s/^(.{150}.{150}).*/\\1/;p;}' /proc/self/mountinfo
echo "== locks"
grep -m 2000 -E '(FLOCK|POSIX) .* WRITE ' /proc/locks
inodes=
while read -r device inode name; do
  case $name in $state/gc.lock | $state/db/*) inodes="$inodes\${inodes:+|}$inode" ;; esac
done <<END
$files
END
[ -n "$inodes" ] || return 0
count=0
for pid in $(sed -nE "s/^[0-9]+: [A-Z]+ +[A-Z]+ +WRITE +([0-9]+) [0-9a-f]+:[0-9a-f]+:($inodes) .*/\\1/p" /proc/locks); do
  echo "== process $pid"
  echo "stat $(cat /proc/$pid/stat 2>/dev/null)"
  echo "args $(tr '\\0' ' ' </proc/$pid/cmdline 2>/dev/null | cut -c 1-200)"
  count=$((count + 1))
  [ $count -lt 12 ] || break
done
true
`,
  parse: (output, context) => {
    const sections = parseSections(output)
    const clock = parseKeyValues(sections.get('clock') ?? '')
    const now = parseNumber(clock.get('now'))
    if (now === null) return noData
    const locks = sections.get('locks') ?? ''
    const files = lockFiles(sections.get('files') ?? '', sections.get('mounts') ?? '')
    const nixLocks = heldLocks(files, parseLocks(locks))
    const sqliteLocks = heldLocks(files, parseLocks(locks, 'POSIX'))
    const pid = nixLocks.find(({ path }) => path.endsWith('/gc.lock'))?.pid
    const storeLock =
      nixLocks.find(({ path }) => path.endsWith('/big-lock')) ??
      sqliteLocks.find(({ path }) => path.includes('/db.sqlite'))
    const users = nixLocks.filter(({ path }) => path.includes('/userpool'))
    const processOf = (pid: number) =>
      parseProcess(sections.get(`process ${pid}`), now, parseNumber(clock.get('btime')))
    const previous = context.last('locks')?.gcLockHolder
    const value: LocksValue = {
      at: context.receivedAt,
      gcLockHolder:
        pid === undefined
          ? null
          : {
              pid,
              ...processOf(pid),
              since: previous?.pid === pid ? previous.since : context.receivedAt,
            },
      storeLockHolder: storeLock
        ? { pid: storeLock.pid, path: storeLock.path, ...processOf(storeLock.pid) }
        : null,
      buildUsersInUse: users.length,
      // With auto-allocate-uids there are more build users than builds can need
      buildUsers: users.some(({ path }) => path.includes('/userpool2/'))
        ? null
        : (context.last('system')?.buildUsers ?? null),
    }
    return { status: 'ok', value }
  },
  samples: ({ buildUsersInUse, gcLockHolder }, { name: builder }) => [
    {
      family: 'nix_builder_build_users_held',
      labels: { builder },
      value: buildUsersInUse,
    },
    ...(gcLockHolder
      ? [
          {
            family: 'nix_builder_gc_lock_held_since_timestamp_seconds',
            labels: { builder },
            value: gcLockHolder.since,
          },
        ]
      : []),
  ],
}

const noData: Outcome<never> = {
  status: 'skipped',
  kind: 'no_data',
  params: { detail: 'no /proc/locks' },
}

interface LockFile {
  readonly path: string
  /** `major:minor:inode` in each form that /proc/locks can use. */
  readonly names: readonly string[]
}

const lockFiles = (text: string, mounts: string): readonly LockFile[] =>
  text.split('\n').flatMap(line => {
    const [, device, inode, path] = /^(\d{1,20}) (\d{1,20}) (\S{1,200})$/.exec(line) ?? []
    if (device === undefined || path === undefined) return []
    const devices = [
      formatDevice(BigInt(device)),
      findMountDevice(mounts, path) ?? [],
    ].flat()
    return [{ path, names: devices.map(device => `${device}:${inode}`) }]
  })

/** Returns the files that a process has locked. */
const heldLocks = (
  files: readonly LockFile[],
  locks: readonly FileLock[],
): readonly { readonly path: string; readonly pid: number }[] => {
  const holders = new Map(
    locks.flatMap(({ file, pid, isWaiting }) =>
      isWaiting ? [] : [[file, pid] as const],
    ),
  )
  return files.flatMap(({ path, names }) => {
    const pid = names.map(name => holders.get(name)).find(pid => pid !== undefined)
    return pid === undefined ? [] : [{ path, pid }]
  })
}

const parseProcess = (text: string | undefined, now: number, boot: number | null) => {
  const facts = parseKeyValues(text ?? '')
  const ticks = parseProcStat(facts.get('stat') ?? '')?.startTicks ?? NaN
  return {
    program: oneLine(facts.get('args') ?? '', 80) || null,
    runtimeSeconds:
      Number.isNaN(ticks) || boot === null
        ? null
        : Math.max(0, now - boot - ticks / ticksPerSecond),
  }
}
