import type {
  DiskValue,
  FilesystemValue,
  Outcome,
  Sample,
  TelemetryProbe,
} from '../model/index.ts'
import { atLeast, isLix } from '../nix/dialect.ts'
import { formatBytes } from '../text/bytes.ts'
import { oneLine } from '../text/truncate.ts'
import { parseSections, parseNumber } from './telemetry/parse-output.ts'
import { diskScript } from './disk/script.ts'

const mib = 1024 * 1024
/** With less, not even a canary can register its output. Nix itself reserves 8 MiB. */
const fullBytes = mib
const fullInodes = 16

/**
 * What a usual build needs: its inputs and outputs in the store, its unpacked sources in the build directory, its compressed log
 * and the growing database. A small filesystem is expected to take small builds.
 */
const neededBytes = { store: 512 * mib, build: 512 * mib, state: 64 * mib, log: 16 * mib }
const neededShare = 1 / 40

const needed = (name: keyof typeof neededBytes, { sizeBytes }: FilesystemValue): number =>
  Math.min(neededBytes[name], sizeBytes * neededShare)

/** Free space as Nix counts it: available to an unprivileged user on the store's filesystem (gc.cc autoGC). */
export const diskProbe: TelemetryProbe<'disk'> = {
  name: 'disk',
  summary: 'free bytes and inodes of store, build directory and state, against min-free',
  // GNU and busybox stat support -f -c; other systems use df
  script: diskScript,
  parse: (output, context) => {
    const sections = parseSections(output)
    const store = filesystem(sections, 'store')
    if (!store)
      return {
        status: 'skipped',
        kind: 'no_data',
        params: { detail: 'no /nix/store' },
      }
    const system = context.last('system')
    const before = context.last('disk')
    const minFree = system?.minFree ?? before?.minFree ?? null
    const value: DiskValue = {
      store,
      build: buildFilesystem(sections, context.last('trust')?.nixVersion ?? null),
      state: filesystem(sections, 'state'),
      log: filesystem(sections, 'log'),
      minFree,
      maxFree: system?.maxFree ?? before?.maxFree ?? null,
      belowMinFreeSince:
        minFree !== null && store.availableBytes < minFree
          ? (before?.belowMinFreeSince ?? context.receivedAt)
          : null,
    }
    return toOutcome(value, isReadOnly(sections.get('mounts') ?? ''))
  },
  samples: (value, builder) => {
    const builderLabel = { builder: builder.name }
    const samples: Sample[] = []
    for (const name of filesystems) {
      const fs = value[name]
      if (!fs) continue
      const labels = { ...builderLabel, filesystem: name }
      samples.push({
        family: 'nix_builder_filesystem_available_bytes',
        labels,
        value: fs.availableBytes,
      })
      if (fs.availableInodes !== null)
        samples.push({
          family: 'nix_builder_filesystem_available_inodes',
          labels,
          value: fs.availableInodes,
        })
    }
    if (value.belowMinFreeSince !== null)
      samples.push({
        family: 'nix_builder_below_min_free_since_timestamp_seconds',
        labels: builderLabel,
        value: value.belowMinFreeSince,
      })
    return samples
  },
  trends: ({ store }) => ({ storeFreeBytes: store.availableBytes }),
}

const filesystems = ['store', 'build', 'state', 'log'] as const

const filesystem = (
  sections: ReadonlyMap<string, string>,
  name: string,
): FilesystemValue | null => {
  for (const [title, text] of sections) {
    if (!title.startsWith(`${name} /`)) continue
    const path = oneLine(title.slice(name.length + 1), 200)
    const lines = text.split('\n').map(line => line.slice(0, maxLine))
    for (const line of lines) {
      const space = parseStatfs(line.trim()) ?? parseDf(line, lines)
      if (space) return { path, ...space }
    }
  }
  return null
}

/** Longer lines are cut: the input is untrusted and regular expressions take time. */
const maxLine = 1000

type Space = Omit<FilesystemValue, 'path'>

const parseStatfs = (line: string): Space | null => {
  const numbers = /^statfs((?: \d{1,19}){5})$/.exec(line)?.[1]
  if (numbers === undefined) return null
  const [available = 0, total = 0, size = 0, freeInodes = 0, inodes = 0] = numbers
    .trim()
    .split(' ')
    .map(Number)
  // Some filesystems report no size
  if (total * size === 0) return null
  return {
    availableBytes: available * size,
    sizeBytes: total * size,
    // btrfs and others have no inode limit
    availableInodes: inodes === 0 ? null : freeInodes,
  }
}

const parseDf = (line: string, lines: readonly string[]): Space | null => {
  if (line.startsWith('inodes ')) return null
  const blocks = /\s(\d{1,16})\s+\d+\s+(\d{1,16})\s+\d+%\s/.exec(line)
  if (!blocks || Number(blocks[1]) === 0) return null
  const inodes = lines
    .map(otherLine => /^inodes .*?%\s+\d+\s+(\d+)\s+\d+%\s/.exec(otherLine)?.[1])
    .find(Boolean)
  return {
    availableBytes: Number(blocks[2]) * 1024,
    sizeBytes: Number(blocks[1]) * 1024,
    availableInodes: parseNumber(inodes),
  }
}

/** Without a setting builds run in /tmp, and since 2.30 in `builds` of the state directory, which the first build creates. */
const buildFilesystem = (
  sections: ReturnType<typeof parseSections>,
  nixVersion: string | null,
) => {
  const configured = filesystem(sections, 'build')
  if (configured) return configured
  const usesStateDirectory =
    nixVersion !== null && !isLix(nixVersion) && atLeast(nixVersion, 2, 30)
  return filesystem(sections, usesStateDirectory ? 'state' : 'tmp')
}

/** Whether /nix/var/nix is on a read-only mount. A read-only /nix/store is normal on NixOS. */
const isReadOnly = (mounts: string): boolean => {
  let best = { length: 0, options: '' }
  for (const line of mounts.split('\n')) {
    const [, where, , options] = line.split(' ')
    if (!where || !options || where === '/nix/store') continue
    const isParent =
      where === '/' ||
      where === '/nix' ||
      where === '/nix/var' ||
      where === '/nix/var/nix'
    if (isParent && where.length >= best.length) best = { length: where.length, options }
  }
  return best.options.split(',').includes('ro')
}

const toOutcome = (value: DiskValue, readOnly: boolean): Outcome<DiskValue> => {
  const { store } = value
  const all = filesystems.flatMap(name => value[name] ?? [])
  // A build that writes nothing into a full build directory succeeds: that one is only low
  const full = all.find(fs => fs !== value.build && fs.availableBytes < fullBytes)
  if (readOnly)
    return {
      status: 'failed',
      kind: 'store_read_only',
      params: { detail: 'by its mount options' },
      value,
    }
  if (full)
    return {
      status: 'failed',
      kind: 'disk_full',
      params: {
        detail: `${formatBytes(full.availableBytes)} left on ${full.path}`,
        path: full.path,
      },
      value,
    }
  if (all.some(fs => fs.availableInodes !== null && fs.availableInodes < fullInodes))
    return { status: 'failed', kind: 'inodes_full', params: {}, value }
  const low = filesystems.find(name => {
    const fs = value[name]
    return fs && fs.availableBytes < needed(name, fs)
  })
  const lowOn = low && value[low]
  if (lowOn)
    return {
      status: 'degraded',
      kind: 'disk_low',
      params: {
        available: formatBytes(lowOn.availableBytes),
        minFree: formatBytes(needed(low, lowOn)),
        path: lowOn.path,
      },
      value,
    }
  if (value.belowMinFreeSince !== null)
    return {
      status: 'degraded',
      kind: 'below_min_free',
      params: {
        available: formatBytes(store.availableBytes),
        minFree: formatBytes(value.minFree ?? 0),
        path: store.path,
        since: String(value.belowMinFreeSince),
      },
      value,
    }
  return { status: 'ok', value }
}
