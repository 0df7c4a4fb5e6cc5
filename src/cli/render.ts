import { probeNames, type Fix, type ProbeName } from '../model/index.ts'
import { createHeadline, stateSymbols } from '../diagnosis/headline.ts'
import { formatFix } from '../diagnosis/kinds/index.ts'
import {
  formatServiceNote,
  releasedText,
  serviceNote,
} from '../diagnosis/out-of-service.ts'
import type { BuilderReport, ProbeReport, Report } from '../diagnosis/report.ts'
import { describeValue, formatSeconds } from './describe-value.ts'
import type { Paint } from './paint.ts'

const statusSymbols = {
  ok: '✔',
  degraded: '▲',
  failed: '✘',
  busy: '…',
  skipped: '·',
} as const

const findSharedCause = ({ sharedCauses }: Report, name: string) =>
  sharedCauses.find(({ builders }) => builders.includes(name))

/** Returns the shown builder whose section has the cause that this one shares; null if it shares none. */
const groupRepresentative = (report: Report, name: string): string | null => {
  const names = findSharedCause(report, name)?.builders ?? []
  return names.find(one => report.builders.some(builder => builder.name === one)) ?? null
}

/** Renders the report for a terminal: headline, problems, and the probes of each builder. */
export const renderReport = (report: Report, paint: Paint): string =>
  [
    paint.bold(`${createHeadline(report, true, ({ reason }) => reason).text}.`),
    ...report.problems.map(p =>
      paint.status('failed', `  ✘ ${p.file}:${p.line}: ${p.message}`),
    ),
    ...renderReleased(report, paint),
    '',
    ...report.builders.map(builder => renderBuilder(builder, report, paint)),
    ...renderClient(report.client, paint),
    ...renderFindings(report.findings, paint),
  ].join('\n')

/** Width of the column of probe names. */
const nameWidth = Math.max(...probeNames.map(name => name.length))

const renderReleased = ({ quarantine }: Report, paint: Paint): string[] => {
  const text = releasedText(quarantine)
  return text === null ? [] : [paint.status('degraded', `  ▲ ${text}`)]
}

const renderBuilder = (builder: BuilderReport, report: Report, paint: Paint): string => {
  const representative = groupRepresentative(report, builder.name)
  const unverifiedNote =
    builder.state === 'healthy' && !builder.verified
      ? paint.dim(' (not verified by a build)')
      : ''
  const title = paint.state(
    builder.state,
    `${stateSymbols[builder.state]} ${builder.name}  ${builder.state}`,
  )
  const lines = [`${title}${unverifiedNote}  ${paint.dim(builder.storeUri)}`]
  const service = serviceNote(builder, report.quarantine, report.at)
  if (service) lines.push(`  ${formatServiceNote(service, report.at)}`)
  for (const name of probeNames) {
    const probe = builder.probes[name]
    if (!probe) continue
    lines.push(renderProbe(name, probe, paint))
    for (const line of probe.trace ?? []) lines.push(`    ${paint.dim(`| ${line}`)}`)
  }
  const { cause } = builder
  if (cause && representative !== null && representative !== builder.name)
    lines.push(
      `    ${label('cause', paint)}same cause as ${representative} ${paint.dim(`[${cause.kind}, side: ${cause.side}]`)}`,
    )
  else if (cause) {
    lines.push(
      `    ${label('cause', paint)}${cause.reason} ${paint.dim(`[${cause.kind}, side: ${cause.side}]`)}`,
    )
    lines.push(...renderFixes(cause.fixes, builder.name, paint))
    lines.push(`    ${label('reproduce', paint)}${cause.reproduce}`)
    if (cause.evidence)
      for (const line of cause.evidence.split('\n').slice(0, 8))
        lines.push(`    ${paint.dim(`| ${line.slice(0, 200)}`)}`)
  }
  for (const notice of builder.notices)
    lines.push(
      `    ${label('note', paint)}${notice.reason} ${paint.dim(`[${notice.kind}]`)}`,
    )
  return `${lines.join('\n')}\n`
}

const label = (name: string, paint: Paint): string =>
  `${paint.bold(name)}${' '.repeat('reproduce  '.length - name.length)}`

/** One line for each step; the first has the label. */
const renderFixes = (fixes: readonly Fix[], builder: string, paint: Paint): string[] =>
  fixes.map(
    (fix, i) => `    ${label(i === 0 ? 'fix' : '', paint)}${formatFix(fix, builder)}`,
  )

/** Renders the checks of this machine that failed, and as which user builds log in. */
const renderClient = ({ checks }: Report['client'], paint: Paint): string[] => {
  // Whose ssh builds use is always shown: a green result is that of our own
  const shown = Object.entries(checks).filter(
    ([name, { status, kind, reason }]) =>
      status === 'failed' ||
      status === 'degraded' ||
      (name === 'identity' && kind !== 'not_applicable' && reason !== undefined),
  )
  if (shown.length === 0) return []
  return [
    paint.bold('This machine'),
    ...shown.flatMap(([name, { status, reason = '', fixes = [] }]) => [
      `  ${paint.status(status, `${statusSymbols[status]} ${name.padEnd(nameWidth)}`)} ${reason}`,
      ...renderFixes(fixes, 'the builder', paint),
    ]),
    '',
  ]
}

/** Findings that are shown; --json has all. */
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
        ...fix.split('\n').map(line => `    ${paint.bold('write')}  ${line}`),
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
  return `  ${paint.status(probe.status, `${statusSymbols[probe.status]} ${name.padEnd(nameWidth)}`)} ${duration.padStart(7)}  ${paint.status(probe.status, probe.status === 'ok' ? '' : `${probe.status}: `)}${text}`
}
