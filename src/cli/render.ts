import { styleText } from 'node:util'
import {
  probeNames,
  type CanaryRun,
  type Fix,
  type ProbeName,
  type ProbeValues,
  type State,
} from '../model/index.ts'
import { formatFix } from '../diagnosis/kinds/index.ts'
import { earliestExpiry, formatIsoTime } from '../diagnosis/notices.ts'
import type { BuilderReport, ProbeReport, Report } from '../diagnosis/report.ts'
import { formatBytes } from '../text/bytes.ts'
import { wantsColor, type Io } from './terminal.ts'

/** Paints text, or leaves it as it is. */
export interface Paint {
  readonly state: (state: State, text: string) => string
  readonly status: (status: ProbeReport['status'], text: string) => string
  readonly dim: (text: string) => string
  readonly bold: (text: string) => string
}

type Style = Parameters<typeof styleText>[0]
/** Colors regardless of what standard output is: `createPaint` decides. */
const style = (format: Style) => (text: string) =>
  styleText(format, text, { validateStream: false })
const [red, green, yellow, blue] = [
  style('red'),
  style('green'),
  style('yellow'),
  style('blue'),
]
const [dim, bold] = [style('dim'), style('bold')]

const plain: Paint = {
  state: (_, t) => t,
  status: (_, t) => t,
  dim: t => t,
  bold: t => t,
}

const colored: Paint = {
  state: (state, text) =>
    ({
      healthy: green,
      degraded: yellow,
      down: red,
      unknown: blue,
      asleep: dim,
      drained: dim,
    })[state](text),
  status: (status, text) =>
    ({ ok: green, degraded: yellow, failed: red, busy: blue, skipped: dim })[status](
      text,
    ),
  dim,
  bold,
}

export const createPaint = (isTerminal: boolean, env: Io['env']): Paint =>
  wantsColor(isTerminal, env) ? colored : plain

const stateSymbols = {
  healthy: '✔',
  degraded: '▲',
  down: '✘',
  unknown: '?',
  asleep: '☾',
  drained: '–',
} as const
const statusSymbols = {
  ok: '✔',
  degraded: '▲',
  failed: '✘',
  busy: '…',
  skipped: '·',
} as const

/** The headline: how many can take work, and what is wrong with the first that cannot. */
export const headline = (report: Report): string => {
  const count = report.builders.length
  const fatal = report.problems.find(({ isFatal }) => isFatal)
  if (count === 0 && fatal)
    return 'The builders list is malformed, so no build can start on this machine.'
  if (count === 0) return 'No builders are configured.'
  const available = report.builders.filter(
    b => b.state === 'healthy' || b.state === 'degraded',
  ).length
  const worst =
    report.builders.find(b => b.state === 'down') ?? report.builders.find(b => b.cause)
  const noun = count === 1 ? 'builder' : 'builders'
  const representative = `${available} of ${count} ${noun} can take work.`
  if (!worst?.cause) return representative
  const group = findSharedCause(report, worst.name)
  return group
    ? `${representative} ${group.builders.length} hang on ${group.scope}: ${worst.cause.reason}.`
    : `${representative} ${worst.name}: ${worst.cause.reason}.`
}

const findSharedCause = ({ sharedCauses }: Report, name: string) =>
  sharedCauses.find(({ builders }) => builders.includes(name))

/** Who of those that are shown tells the cause that this one shares; null where it shares none. */
const groupRepresentative = (report: Report, name: string): string | null => {
  const names = findSharedCause(report, name)?.builders ?? []
  return names.find(one => report.builders.some(builder => builder.name === one)) ?? null
}

/** The whole report for people: headline, problems, then a ladder for each builder. */
export const renderReport = (report: Report, paint: Paint): string =>
  [
    paint.bold(headline(report)),
    ...report.problems.map(p =>
      paint.status('failed', `  ✘ ${p.file}:${p.line}: ${p.message}`),
    ),
    '',
    ...report.builders.map(builder =>
      renderBuilder(builder, groupRepresentative(report, builder.name), paint),
    ),
    ...renderClient(report.client, paint),
    ...renderFindings(report.findings, paint),
  ].join('\n')

/** `first` is the builder that tells a shared cause for all. */
const renderBuilder = (
  builder: BuilderReport,
  representative: string | null,
  paint: Paint,
): string => {
  const unverifiedNote =
    builder.state === 'healthy' && !builder.verified
      ? paint.dim(' (not proven by a build)')
      : ''
  const title = paint.state(
    builder.state,
    `${stateSymbols[builder.state]} ${builder.name}  ${builder.state}`,
  )
  const lines = [`${title}${unverifiedNote}  ${paint.dim(builder.storeUri)}`]
  for (const name of probeNames) {
    const probe = builder.probes[name]
    if (!probe) continue
    lines.push(renderProbe(name, probe, paint))
    for (const line of probe.trace ?? []) lines.push(`    ${paint.dim(`| ${line}`)}`)
  }
  const { cause } = builder
  if (cause && representative !== null && representative !== builder.name)
    lines.push(
      `    ${paint.bold('why')}   the same cause as ${representative} ${paint.dim(`[${cause.kind}, side: ${cause.side}]`)}`,
    )
  else if (cause) {
    lines.push(
      `    ${paint.bold('why')}   ${cause.reason} ${paint.dim(`[${cause.kind}, side: ${cause.side}]`)}`,
    )
    lines.push(...renderFixes(cause.fixes, builder.name, paint))
    lines.push(`    ${paint.bold('see')}   ${cause.reproduce}`)
    if (cause.evidence)
      for (const line of cause.evidence.split('\n').slice(0, 8))
        lines.push(`    ${paint.dim(`| ${line.slice(0, 200)}`)}`)
  }
  for (const notice of builder.notices)
    lines.push(
      `    ${paint.bold('note')}  ${notice.reason} ${paint.dim(`[${notice.kind}]`)}`,
    )
  return `${lines.join('\n')}\n`
}

/** One line for each step; the first has the label. */
const renderFixes = (fixes: readonly Fix[], builder: string, paint: Paint): string[] =>
  fixes.map(
    (fix, i) =>
      `    ${paint.bold(i === 0 ? 'fix ' : '    ')}  ${formatFix(fix, builder)}`,
  )

/** Only what is wrong here: that this machine is well is no news. */
const renderClient = ({ checks }: Report['client'], paint: Paint): string[] => {
  const failing = Object.entries(checks).filter(
    ([, { status }]) => status === 'failed' || status === 'degraded',
  )
  if (failing.length === 0) return []
  return [
    paint.bold('This machine'),
    ...failing.flatMap(([name, { status, reason = '', fixes = [] }]) => [
      `  ${paint.status(status, `${statusSymbols[status]} ${name.padEnd(7)}`)} ${reason}`,
      ...renderFixes(fixes, '', paint),
    ]),
    '',
  ]
}

/** At most this many; --json has them all. */
const maxFindings = 12

const renderFindings = (findings: Report['findings'], paint: Paint): string[] => {
  if (findings.length === 0) return []
  const remaining = findings.length - maxFindings
  return [
    paint.bold(findings.length === 1 ? 'One finding' : `${findings.length} findings`),
    ...findings
      .slice(0, maxFindings)
      .flatMap(({ builder, rule, message, fix }) => [
        `  ${builder === undefined ? '' : `${builder}: `}${message} ${paint.dim(`[${rule}]`)}`,
        ...fix.split('\n').map(line => `    ${paint.bold('write')} ${line}`),
      ]),
    ...(remaining > 0
      ? [paint.dim(`  and ${remaining} more: builder-monitor check --json`)]
      : []),
    '',
  ]
}

const renderProbe = (name: ProbeName, probe: ProbeReport, paint: Paint): string => {
  const duration = probe.status === 'skipped' ? '' : formatSeconds(probe.durationSeconds)
  const text =
    probe.status === 'ok' ? describeValue(name, probe.value) : (probe.reason ?? '')
  return `  ${paint.status(probe.status, `${statusSymbols[probe.status]} ${name.padEnd(7)}`)} ${duration.padStart(7)}  ${paint.status(probe.status, probe.status === 'ok' ? '' : `${probe.status}: `)}${text}`
}

const formatSeconds = (value: number): string =>
  value < 1 ? `${Math.round(value * 1000)} ms` : `${value.toFixed(1)} s`

/** A few words about a good result. */
const describeValue = (name: ProbeName, value: unknown): string => {
  // The report carries the value of the probe that it names
  const text = describers[name] as (value: unknown) => string
  return value === undefined || value === null ? '' : text(value)
}

const describers: { readonly [P in ProbeName]: (value: ProbeValues[P]) => string } = {
  login: v =>
    `${v.via ?? 'ssh'}, host key ${describeHostKeyCheck(v.hostKey)}${v.transport === 'openssh' ? ', through OpenSSH' : ''}${describeValidity(v)}`,
  trust: v =>
    `Nix ${v.nixVersion ?? 'of unknown version'}, ${v.trusted === null ? 'trust not told' : 'trusted'}, ${v.protocol} protocol ${v.protocolVersion}`,
  system: v =>
    `${v.systems.join(' ')}; features ${v.features.slice(0, 8).join(' ') || 'none'}; max-jobs ${v.maxJobs ?? '?'}`,
  disk: ({ store, minFree }) => {
    const limit =
      minFree === 0 ? ', min-free off' : `, min-free ${formatBytes(minFree ?? 0)}`
    return `${formatBytes(store.availableBytes)} free on ${store.path}${minFree === null ? '' : limit}`
  },
  memory: v =>
    `${formatBytes(v.availableBytes ?? 0)} of ${formatBytes(v.sizeBytes ?? 0)} available`,
  locks: ({ gcLockHolder, buildUsersInUse, buildUsers }) =>
    `${buildUsersInUse}${buildUsers === null ? '' : ` of ${buildUsers}`} build users taken${gcLockHolder ? `, the garbage collector runs (process ${gcLockHolder.pid})` : ''}`,
  canary: v => v.runs.map(describeCanaryRun).join('; '),
  direct: v => v.runs.map(describeCanaryRun).join('; '),
  slots: v =>
    `${v.inUse.length} of ${v.configured} held by this machine${v.upload.queue.length ? `, ${v.upload.queue.length} waiting to upload` : ''}${v.seesAllNamespaces ? '' : ' (as far as this container shows)'}`,
}

const describeCanaryRun = (run: CanaryRun): string => {
  const limitation = run.systemVerified
    ? ''
    : ' (no /bin/sh in its sandbox: system not proven)'
  return `${run.system}${run.feature ? ` with ${run.feature}` : ''} built by ${run.builtBy ?? '?'} in ${formatSeconds(run.durationSeconds)}${limitation}`
}

const describeHostKeyCheck = (hostKey: { verifiedBy: string } | null): string =>
  hostKey
    ? hostKey.verifiedBy === 'none'
      ? 'not verified'
      : `verified by ${hostKey.verifiedBy}`
    : 'verified by ssh'

const describeValidity = ({ certificates }: ProbeValues['login']): string => {
  const representative = earliestExpiry(certificates)
  return representative
    ? `, certificate valid until ${formatIsoTime(representative.validUntil)}`
    : ''
}
