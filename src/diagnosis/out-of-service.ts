import type {
  Drain,
  Hold,
  Quarantine,
  QuarantineState,
  ReleaseReason,
  RetainReason,
  State,
} from '../model/index.ts'
import { formatDuration } from '../text/duration.ts'
import { formatIsoTime } from './notices.ts'

/** The part of a builder's report that decides whether it gets builds. */
export interface ServiceReport {
  readonly state: State
  /** Start of the state, Unix seconds. */
  readonly since: number
  readonly drain: Drain | null
  readonly quarantine: Quarantine | null
  readonly hold: Hold | null
}

/** Why a builder gets no builds, or gets them although it fails. */
export interface ServiceNote {
  readonly text: string
  /** Unix seconds. */
  readonly since: number
  /** Unix seconds, null without an end. */
  readonly until: number | null
  readonly details: readonly string[]
}

/** Returns whether no new build starts on a builder: each slot is held, or a running build uses it. */
export const isKeptAway = (hold: Hold | null | undefined): boolean =>
  !!hold && hold.total > 0 && hold.held + hold.running >= hold.total

/** Texts of the reasons for which builders that fail stay in service. */
export const releaseTexts: Readonly<Record<ReleaseReason, string>> = {
  panic: 'more than half of the builders fail, so the fault is more likely here',
  holder: 'nothing holds their slots',
  self_check: 'the self-check fails, so the results are not trusted',
}
const retainTexts: Readonly<Record<RetainReason, string>> = {
  floor: 'no other builder has its systems and features',
  share: 'a third of the builders is quarantined already',
}

/**
 * Returns what keeps builds away from a builder; null for one in service. `quarantine` is absent in `check`, which keeps no
 * builds away. `now` in Unix seconds. Pure.
 */
export const serviceNote = (
  report: ServiceReport,
  quarantine: QuarantineState | undefined,
  now: number,
): ServiceNote | null => {
  const { state, since, drain, hold } = report
  if (drain)
    return {
      text: `drained by ${drain.by}`,
      since: drain.since,
      until: drain.until,
      details: [...(drain.reason ? [drain.reason] : []), ...holdTexts(hold, quarantine)],
    }
  if (state === 'drained')
    return {
      text: 'drained by the configuration',
      since,
      until: null,
      details: holdTexts(hold, quarantine),
    }
  return report.quarantine
    ? quarantineNote(report.quarantine, hold, quarantine, now)
    : null
}

const quarantineNote = (
  { phase, since, kind, notBefore, count, retainedBy }: Quarantine,
  hold: Hold | null,
  fleet: QuarantineState | undefined,
  now: number,
): ServiceNote => {
  const note = (text: string, ...details: readonly string[]): ServiceNote => ({
    text,
    since,
    until: null,
    details,
  })
  if (phase === 'probation')
    return note(
      'in service again, on probation',
      `was quarantined for ${kind}`,
      'another failure within 30 minutes quarantines it for longer',
    )
  if (retainedBy)
    return note(`fails (${kind}), but stays in service`, retainTexts[retainedBy])
  if (fleet?.mode === 'dryRun') return note(`would be quarantined (dry run), ${kind}`)
  if (fleet?.released && fleet.released !== 'holder')
    return note(`fails (${kind}), but stays in service`, releaseTexts[fleet.released])
  const wait =
    notBefore > now
      ? [
          `not before ${formatIsoTime(Math.ceil(notBefore))}, because it failed ${count} times in a row`,
        ]
      : []
  return note(
    `quarantined (${kind})`,
    ...(isKeptAway(hold) ? ['builds are kept away until it is verified', ...wait] : []),
    ...holdTexts(hold, fleet),
  )
}

/** Returns whether builds are really kept away, and which still run there. */
const holdTexts = (
  hold: Hold | null,
  fleet: QuarantineState | undefined,
): readonly string[] => {
  if (fleet?.unavailable) return ['builds are not kept away']
  if (!hold || hold.total === 0) return []
  const { held, running, total } = hold
  if (hold.problem) return [`builds are not kept away: ${hold.problem}`]
  if (!isKeptAway(hold)) return [`${held} of ${total} slots are held by builder-monitor`]
  if (running === 0)
    return ['its slots are held by builder-monitor, no build of this machine runs there']
  return [
    `${running} ${running === 1 ? 'build of this machine still runs' : 'builds of this machine still run'} there`,
  ]
}

/** Returns the text of everything after the time at which it started. */
export const formatServiceDetails = ({ until, details }: ServiceNote): string =>
  `${until === null ? '' : `, until ${formatIsoTime(Math.round(until))}`}${
    details.length > 0 ? `: ${details.join('; ')}` : ''
  }`

/** Returns the note as one line. `now` in Unix seconds. */
export const formatServiceNote = (note: ServiceNote, now: number): string =>
  `${note.text} for ${formatDuration(now - note.since)}${formatServiceDetails(note)}`

/** Returns why builds are not kept away although they should be; null when that is not so. */
export const releasedText = (quarantine: QuarantineState | undefined): string | null => {
  if (quarantine?.unavailable)
    return `builds are not kept away: ${quarantine.unavailable}`
  return quarantine?.mode === 'on' && quarantine.released
    ? `builders that fail stay in service: ${releaseTexts[quarantine.released]}`
    : null
}
