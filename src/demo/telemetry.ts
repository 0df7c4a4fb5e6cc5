import { demoSystem, type DemoBuilder } from './demo-builder.ts'

const lastSection = /^[ \t]*section end[ \t]*$/m
const loop = /^while read -r nonce names; do .* done\n/m

/** Returns whether the script is complete. */
export const isCompleteScript = (script: string): boolean =>
  lastSection.test(script) || loop.test(script)

/** Returns whether the script reads requests: lines of a nonce and names of sections. */
export const readsRequests = (script: string): boolean => loop.test(script)

/** Returns what such a script prints before it reads the first request. */
export const renderReady = (script: string): string => `@${nonceOf(script)} ready\n`

/** Returns what such a script answers. `now` is Unix time in milliseconds. */
export const renderAnswer = (
  request: string,
  builder: DemoBuilder,
  now: number = Date.now(),
): string => {
  const [nonce = '', ...names] = request.split(' ')
  return renderSections(nonce, [...names, 'end'], builder, now)
}

const nonceOf = (script: string): string | undefined =>
  /^[ \t]*nonce=['"]?([0-9a-f]+)/m.exec(script)?.[1]

/**
 * Returns what the telemetry script would print on this builder. Does not run the script: it parses the nonce and the
 * section names, and renders each section as a Linux machine would. `now` is Unix time in milliseconds.
 */
export const renderTelemetryOutput = (
  scriptText: string,
  builder: DemoBuilder,
  now: number = Date.now(),
): string => {
  const nonce = nonceOf(scriptText)
  if (nonce === undefined) return ''
  const sections = scriptText.matchAll(/^[ \t]*section ([a-z_]+)[ \t]*$/gm)
  const names = [...sections].map(([, name = '']) => name)
  return renderSections(nonce, names, builder, now)
}

const renderSections = (
  nonce: string,
  names: readonly string[],
  builder: DemoBuilder,
  now: number,
): string =>
  names.map(name => `\n@${nonce} ${name}\n${renderSection(name, builder, now)}`).join('')

const renderSection = (section: string, builder: DemoBuilder, now: number): string => {
  if (section === 'system') return joinLines(systemLines(builder, now))
  if (section === 'disk') return joinLines(diskLines(builder))
  if (section === 'memory') return joinLines(memoryLines(builder, now))
  if (section === 'locks') return joinLines(['== clock', `now ${Math.floor(now / 1000)}`])
  return ''
}

const joinLines = (all: readonly string[]): string =>
  all.map(line => `${line}\n`).join('')

const day = 24 * 60 * 60
const bootedAt = Math.floor(Date.now() / 1000) - 12 * day

const systemLines = (builder: DemoBuilder, now: number): readonly string[] => [
  `time ${Math.floor(now / 1000)}`,
  'kernel Linux 6.6.63 x86_64',
  `nix nix (Nix) ${builder.nixVersion}`,
  `boot ${bootedAt}`,
  'users 32',
  'set.build-users-group nixbld',
  'set.cores 0',
  'set.extra-platforms i686-linux',
  `set.max-free ${2 * builder.disk.minFreeBytes}`,
  `set.max-jobs ${builder.maxJobs}`,
  `set.min-free ${builder.disk.minFreeBytes}`,
  'set.sandbox true',
  `set.system ${demoSystem}`,
  `set.system-features ${builder.features.join(' ')}`,
]

const blockBytes = 4096
const inodes = 30_000_000

const diskLines = ({ disk }: DemoBuilder): readonly string[] => {
  const blocks = (bytes: number) => Math.floor(bytes / blockBytes)
  const free = `statfs ${blocks(disk.availableBytes)} ${blocks(disk.sizeBytes)} ${blockBytes} ${inodes / 2} ${inodes}`
  return [
    '== store /nix/store',
    free,
    '== build /tmp',
    free,
    '== state /nix/var/nix',
    free,
    '== mounts',
    '/dev/vda2 / ext4 rw,relatime 0 0',
  ]
}

/** Varies the load over time, so that graphs of the demo are not flat. */
const loadSwing = (now: number): number => Math.sin(now / 60_000)

const memoryLines = ({ memory }: DemoBuilder, now: number): readonly string[] => {
  const used = (memory.sizeBytes - memory.availableBytes) * (1 + loadSwing(now) / 4)
  const anon = Math.floor(used / 2)
  const kib = (bytes: number) => `${Math.floor(bytes / 1024)} kB`
  const stalledMicroseconds = 1_250_000
  return [
    '== meminfo',
    `MemTotal: ${kib(memory.sizeBytes)}`,
    `MemFree: ${kib((memory.sizeBytes - used) / 2)}`,
    `MemAvailable: ${kib(memory.sizeBytes - used)}`,
    '== pressure',
    `some avg10=0.00 avg60=0.00 avg300=0.00 total=${2 * stalledMicroseconds}`,
    `full avg10=0.00 avg60=0.00 avg300=0.00 total=${stalledMicroseconds}`,
    '== load',
    `${(2 + 2 * loadSwing(now)).toFixed(2)} 2.00 2.00 3/300 4242`,
    '== current',
    `${2 * anon}`,
    '== limit',
    `${Math.floor(memory.sizeBytes * 0.9)}`,
    '== events',
    ...['low', 'high', 'max', 'oom', 'oom_kill'].map(event => `${event} 0`),
    '== stat',
    `anon ${anon}`,
    'shmem 0',
  ]
}
