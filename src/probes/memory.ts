import type { MemoryValue, Sample, TelemetryProbe } from '../model/index.ts'
import { parseSections, parseNumber } from './telemetry/parse-output.ts'

/** Memory and memory pressure of the machine; usage, limit and OOM kills of nix-daemon's cgroup. */
export const memoryProbe: TelemetryProbe<'memory'> = {
  name: 'memory',
  summary: "available memory, pressure, load, nix-daemon's limit and OOM kills",
  script: `
show() { [ ! -r "$2" ] || { echo "== $1"; while IFS= read -r line || [ -n "$line" ]; do echo "$line"; done <"$2"; }; }
[ ! -r /proc/meminfo ] || { echo "== meminfo"; grep -E '^Mem(Total|Available|Free)|^(Buffers|Cached):' /proc/meminfo; }
show pressure /proc/pressure/memory
show load /proc/loadavg
v2=/sys/fs/cgroup/system.slice/nix-daemon.service
show current $v2/memory.current
show limit $v2/memory.max
show events $v2/memory.events
[ ! -r $v2/memory.stat ] || { echo "== stat"; grep -E '^(anon|shmem|slab_unreclaimable|kernel_stack|pagetables) ' $v2/memory.stat; }
v1=/sys/fs/cgroup/memory/system.slice/nix-daemon.service
show limit1 $v1/memory.limit_in_bytes
show oom1 $v1/memory.oom_control
[ ! -r $v1/memory.stat ] || { echo "== stat1"; grep -E '^total_(rss|shmem) ' $v1/memory.stat; }
if [ "$os" = Darwin ]; then
  echo "== memsize"; sysctl -n hw.memsize
  echo "== vm_stat"; vm_stat
  echo "== load"; sysctl -n vm.loadavg
fi
true
`,
  parse: output => {
    const sections = parseSections(output)
    const [availableBytes, sizeBytes] = machineMemory(sections)
    if (sizeBytes === null)
      return {
        status: 'skipped',
        kind: 'no_data',
        params: { detail: 'no /proc/meminfo and no vm_stat' },
      }
    const value: MemoryValue = {
      availableBytes,
      sizeBytes,
      stalledSeconds: parseStall(sections.get('pressure')),
      load: parseLoad(sections.get('load')),
      ...daemonMemory(sections),
    }
    return { status: 'ok', value }
  },
  samples: (value, builder) => {
    const labels = { builder: builder.name }
    const sample = (family: string, number: number | null): Sample[] =>
      number === null ? [] : [{ family, labels, value: number }]
    return [
      ...sample('nix_builder_memory_available_bytes', value.availableBytes),
      ...sample('nix_builder_memory_size_bytes', value.sizeBytes),
      ...sample('nix_builder_memory_stalled_seconds_total', value.stalledSeconds),
      ...sample('nix_builder_daemon_memory_bytes', value.daemonBytes),
      ...sample('nix_builder_daemon_memory_limit_bytes', value.daemonLimitBytes),
      ...sample('nix_builder_daemon_oom_kills_total', value.daemonOomKills),
    ]
  },
  trends: ({ availableBytes, stalledSeconds, load }) => ({
    memoryFreeBytes: availableBytes,
    memoryStallSeconds: stalledSeconds,
    load,
  }),
}

type Sections = ReadonlyMap<string, string>

/** Parses the number after a name in `name value` or `Name: value kB` lines. */
const lineValue = (text: string | undefined, name: string): number | null =>
  parseNumber(new RegExp(`^${name}:?\\s+(\\d+)`, 'm').exec(text ?? '')?.[1])

const machineMemory = (
  sections: Sections,
): [available: number | null, size: number | null] => {
  const meminfo = sections.get('meminfo')
  if (meminfo) {
    const kib = (name: string) => {
      const value = lineValue(meminfo, name)
      return value === null ? null : value * 1024
    }
    // Kernels before 3.14 have no MemAvailable
    const estimate = (kib('MemFree') ?? 0) + (kib('Buffers') ?? 0) + (kib('Cached') ?? 0)
    return [kib('MemAvailable') ?? estimate, kib('MemTotal')]
  }
  const size = parseNumber(sections.get('memsize')?.trim())
  const vmStat = sections.get('vm_stat')
  if (size === null || !vmStat) return [null, size]
  const page = parseNumber(/page size of (\d+) bytes/.exec(vmStat)?.[1]) ?? 4096
  const pages = (name: string) =>
    parseNumber(new RegExp(`^Pages ${name}:\\s+(\\d+)`, 'm').exec(vmStat)?.[1]) ?? 0
  const free =
    pages('free') + pages('inactive') + pages('speculative') + pages('purgeable')
  return [free * page, size]
}

/** Parses the seconds since boot in which all tasks waited for memory (PSI `full total`, microseconds). */
const parseStall = (pressure: string | undefined): number | null => {
  const total = parseNumber(/^full .*total=(\d+)/m.exec(pressure ?? '')?.[1])
  return total === null ? null : total / 1e6
}

/** Parses the load of the last minute: the first number, in braces on Darwin. */
const parseLoad = (text: string | undefined): number | null =>
  parseNumber(/^(?:\{ )?([\d.]+) /.exec(text ?? '')?.[1])

/** A cgroup v1 limit above this means no limit. */
const noLimit = 2 ** 62

const daemonMemory = (sections: Sections) => {
  const stat = sections.get('stat')
  const stat1 = sections.get('stat1')
  const sum = (text: string, names: readonly string[]) =>
    names.reduce((total, name) => total + (lineValue(text, name) ?? 0), 0)
  const limit = parseNumber(sections.get('limit')?.trim())
  const limit1 = parseNumber(sections.get('limit1')?.trim())
  return {
    // Only unreclaimable memory, without the page cache
    daemonBytes: stat
      ? sum(stat, ['anon', 'shmem', 'slab_unreclaimable', 'kernel_stack', 'pagetables'])
      : stat1
        ? sum(stat1, ['total_rss', 'total_shmem'])
        : null,
    daemonLimitBytes: limit ?? (limit1 !== null && limit1 < noLimit ? limit1 : null),
    daemonOomKills:
      lineValue(sections.get('events'), 'oom_kill') ??
      lineValue(sections.get('oom1'), 'oom_kill'),
  }
}
