import {
  probeNames,
  type CanaryRun,
  type ProbeName,
  type ProbeValues,
  type State,
} from '../model.ts'
import { firstToEnd, isoTime } from '../diagnosis/notes.ts'
import type { BuilderReport, ProbeReport, Report } from '../diagnosis/report.ts'
import { wantsColour, type Io } from './io.ts'

/** Paints text, or leaves it as it is. */
export interface Paint {
  readonly state: (state: State, text: string) => string
  readonly status: (status: ProbeReport['status'], text: string) => string
  readonly dim: (text: string) => string
  readonly bold: (text: string) => string
}

const escape = String.fromCharCode(27)
const colour = (code: number) => (text: string) => `${escape}[${code}m${text}${escape}[0m`
const [red, green, yellow, blue, dim, bold] = [31, 32, 33, 34, 2, 1].map(colour) as [
  (t: string) => string,
  (t: string) => string,
  (t: string) => string,
  (t: string) => string,
  (t: string) => string,
  (t: string) => string,
]

const plain: Paint = {
  state: (_, t) => t,
  status: (_, t) => t,
  dim: t => t,
  bold: t => t,
}

const coloured: Paint = {
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

export const paintFor = (isTerminal: boolean, env: Io['env']): Paint =>
  wantsColour(isTerminal, env) ? coloured : plain

const shapes = {
  healthy: '✔',
  degraded: '▲',
  down: '✘',
  unknown: '?',
  asleep: '☾',
  drained: '–',
} as const
const marks = { ok: '✔', degraded: '▲', failed: '✘', busy: '…', skipped: '·' } as const

/** The headline: how many can take work, and what is wrong with the first that cannot. */
export const headline = (report: Report): string => {
  const count = report.builders.length
  const fatal = report.problems.find(({ stopsBuilds }) => stopsBuilds)
  if (count === 0 && fatal)
    return 'The builders list is malformed, so no build can start on this machine.'
  if (count === 0) return 'No builders are configured.'
  const able = report.builders.filter(
    b => b.state === 'healthy' || b.state === 'degraded',
  ).length
  const worst =
    report.builders.find(b => b.state === 'down') ?? report.builders.find(b => b.cause)
  const noun = count === 1 ? 'builder' : 'builders'
  const first = `${able} of ${count} ${noun} can take work.`
  if (!worst?.cause) return first
  const group = groupOf(report, worst.name)
  return group
    ? `${first} ${group.builders.length} hang on ${group.parent}: ${worst.cause.reason}.`
    : `${first} ${worst.name}: ${worst.cause.reason}.`
}

const groupOf = ({ shared }: Report, name: string) =>
  shared.find(({ builders }) => builders.includes(name))

/** Who of those that are shown tells the cause that this one shares; null where it shares none. */
const spokesmanOf = (report: Report, name: string): string | null => {
  const names = groupOf(report, name)?.builders ?? []
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
      renderBuilder(builder, spokesmanOf(report, builder.name), paint),
    ),
    ...renderClient(report.client, paint),
    ...renderFindings(report.findings, paint),
  ].join('\n')

/** `first` is the builder that tells a shared cause for all. */
const renderBuilder = (
  builder: BuilderReport,
  first: string | null,
  paint: Paint,
): string => {
  const proof =
    builder.state === 'healthy' && !builder.proven
      ? paint.dim(' (not proven by a build)')
      : ''
  const head = paint.state(
    builder.state,
    `${shapes[builder.state]} ${builder.name}  ${builder.state}`,
  )
  const lines = [`${head}${proof}  ${paint.dim(builder.storeUri)}`]
  for (const name of probeNames) {
    const probe = builder.probes[name]
    if (!probe) continue
    lines.push(rung(name, probe, paint))
    for (const line of probe.trace ?? []) lines.push(`    ${paint.dim(`| ${line}`)}`)
  }
  const { cause } = builder
  if (cause && first !== null && first !== builder.name)
    lines.push(
      `    ${paint.bold('why')}   the same cause as ${first} ${paint.dim(`[${cause.kind}, side: ${cause.side}]`)}`,
    )
  else if (cause) {
    lines.push(
      `    ${paint.bold('why')}   ${cause.reason} ${paint.dim(`[${cause.kind}, side: ${cause.side}]`)}`,
    )
    lines.push(`    ${paint.bold('mend')}  ${cause.hint}`)
    lines.push(`    ${paint.bold('see')}   ${cause.reproduce}`)
    if (cause.evidence)
      for (const line of cause.evidence.split('\n').slice(0, 8))
        lines.push(`    ${paint.dim(`| ${line.slice(0, 200)}`)}`)
  }
  for (const note of builder.notes)
    lines.push(`    ${paint.bold('note')}  ${note.reason} ${paint.dim(`[${note.kind}]`)}`)
  return `${lines.join('\n')}\n`
}

/** Only what is wrong here: that this machine is well is no news. */
const renderClient = ({ checks }: Report['client'], paint: Paint): string[] => {
  const wrong = Object.entries(checks).filter(
    ([, { status }]) => status === 'failed' || status === 'degraded',
  )
  if (wrong.length === 0) return []
  return [
    paint.bold('This machine'),
    ...wrong.flatMap(([name, { status, reason = '', hint = '' }]) => [
      `  ${paint.status(status, `${marks[status]} ${name.padEnd(7)}`)} ${reason}`,
      `    ${paint.bold('mend')}  ${hint}`,
    ]),
    '',
  ]
}

/** At most this many; --json has them all. */
const shownFindings = 12

const renderFindings = (findings: Report['findings'], paint: Paint): string[] => {
  if (findings.length === 0) return []
  const rest = findings.length - shownFindings
  return [
    paint.bold(findings.length === 1 ? 'One finding' : `${findings.length} findings`),
    ...findings
      .slice(0, shownFindings)
      .flatMap(({ builder, rule, message, fix }) => [
        `  ${builder === undefined ? '' : `${builder}: `}${message} ${paint.dim(`[${rule}]`)}`,
        ...fix.split('\n').map(line => `    ${paint.bold('write')} ${line}`),
      ]),
    ...(rest > 0 ? [paint.dim(`  and ${rest} more: builder-monitor check --json`)] : []),
    '',
  ]
}

const rung = (name: ProbeName, probe: ProbeReport, paint: Paint): string => {
  const took = probe.status === 'skipped' ? '' : seconds(probe.durationSeconds)
  const words = probe.status === 'ok' ? told(name, probe.value) : (probe.reason ?? '')
  return `  ${paint.status(probe.status, `${marks[probe.status]} ${name.padEnd(7)}`)} ${took.padStart(7)}  ${paint.status(probe.status, probe.status === 'ok' ? '' : `${probe.status}: `)}${words}`
}

const seconds = (value: number): string =>
  value < 1 ? `${Math.round(value * 1000)} ms` : `${value.toFixed(1)} s`

/** A few words about a good result. */
const told = (name: ProbeName, value: unknown): string => {
  // The report carries the value of the probe that it names
  const words = tellers[name] as (value: unknown) => string
  return value === undefined || value === null ? '' : words(value)
}

const tellers: { readonly [P in ProbeName]: (value: ProbeValues[P]) => string } = {
  login: v =>
    `${v.via ?? 'ssh'}, host key ${verified(v.hostKey)}${v.transport === 'openssh' ? ', through OpenSSH' : ''}${validity(v)}`,
  trust: v =>
    `Nix ${v.nixVersion ?? 'of unknown version'}, ${v.trusted === null ? 'trust not told' : 'trusted'}, ${v.protocol} protocol ${v.protocolVersion}`,
  system: v =>
    `${v.systems.join(' ')}; features ${v.features.slice(0, 8).join(' ') || 'none'}; max-jobs ${v.maxJobs ?? '?'}`,
  disk: ({ store, minFree }) => {
    const limit = minFree === 0 ? ', min-free off' : `, min-free ${gib(minFree ?? 0)}`
    return `${gib(store.availableBytes)} free on ${store.path}${minFree === null ? '' : limit}`
  },
  memory: v => `${gib(v.availableBytes ?? 0)} of ${gib(v.sizeBytes ?? 0)} available`,
  locks: ({ collector, buildUsersHeld, buildUsers }) =>
    `${buildUsersHeld}${buildUsers === null ? '' : ` of ${buildUsers}`} build users taken${collector ? `, the garbage collector runs (process ${collector.pid})` : ''}`,
  canary: v => v.runs.map(canaryRun).join('; '),
  direct: v => v.runs.map(canaryRun).join('; '),
  slots: v =>
    `${v.held.length} of ${v.configured} held by this machine${v.upload.waiting.length ? `, ${v.upload.waiting.length} waiting to upload` : ''}${v.seesAll ? '' : ' (as far as this container shows)'}`,
}

const canaryRun = (run: CanaryRun): string => {
  const caveat = run.systemProven ? '' : ' (no /bin/sh in its sandbox: system not proven)'
  return `${run.system}${run.feature ? ` with ${run.feature}` : ''} built by ${run.builtBy ?? '?'} in ${seconds(run.durationSeconds)}${caveat}`
}

const verified = (hostKey: { verifiedBy: string } | null): string =>
  hostKey
    ? hostKey.verifiedBy === 'nothing'
      ? 'not verified'
      : `verified by ${hostKey.verifiedBy}`
    : 'verified by ssh'

const validity = ({ certificates }: ProbeValues['login']): string => {
  const first = firstToEnd(certificates)
  return first ? `, certificate valid until ${isoTime(first.validUntil)}` : ''
}

const gib = (bytes: number): string =>
  bytes >= 2 ** 30
    ? `${(bytes / 2 ** 30).toFixed(1)} GiB`
    : `${Math.round(bytes / 2 ** 20)} MiB`
