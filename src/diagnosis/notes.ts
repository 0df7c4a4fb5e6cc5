import type { BuilderState, CertificateSeen, ProbeName, ProbeValues } from '../model.ts'
import type { Kind, Params } from './kinds.ts'
import { builderParams } from './params.ts'

/** Worth knowing about a builder; it changes no state by itself. */
export interface Note {
  readonly kind: Kind
  readonly params: Params
}

/** Certificates want a new signature when so many seconds are left; the alert has the same. */
const certificateSeconds = 3 * 86_400
/** More than the clocks of machines without NTP drift apart in weeks. */
const clockSeconds = 60
const restartNewsSeconds = 3600

/** What is worth knowing of a builder beside its cause, by the newest good results. `now` in Unix seconds. Pure. */
export const notesOf = ({ builder, probes }: BuilderState, now: number): Note[] => {
  const note = (kind: Kind, params: Params): Note => ({
    kind,
    params: { ...builderParams(builder), ...params },
  })
  const login = valueOf(probes, 'login')
  const system = valueOf(probes, 'system')
  const notes: Note[] = []
  if (login?.transport === 'openssh') notes.push(note('needs_openssh', {}))
  const ending = firstToEnd(login?.certificates ?? [])
  if (ending && ending.validUntil - now < certificateSeconds) {
    const what =
      ending.source === 'sshd' ? 'the one that a host presented' : ending.source
    const detail = `${what} is valid until ${isoTime(ending.validUntil)}`
    notes.push(note('certificate_expires', { detail }))
  }
  const offset = system?.clockOffsetSeconds ?? 0
  if (Math.abs(offset) > clockSeconds)
    notes.push(note('clock_skew', { detail: offsetWords(offset) }))
  const seenAt = system?.restartSeenAt ?? null
  if (seenAt !== null && now - seenAt < restartNewsSeconds)
    notes.push(note('rebooted', { detail: `up since ${isoTime(system?.bootedAt ?? 0)}` }))
  return notes
}

/** The certificate that ends first, null where none does. */
export const firstToEnd = (
  certificates: readonly CertificateSeen[],
): { readonly source: string; readonly validUntil: number } | null => {
  let first: { readonly source: string; readonly validUntil: number } | null = null
  for (const { source, validUntil } of certificates)
    if (validUntil !== null && (!first || validUntil < first.validUntil))
      first = { source, validUntil }
  return first
}

/** `123 s ahead of ours`. */
export const offsetWords = (seconds: number): string =>
  `${Math.round(Math.abs(seconds))} s ${seconds > 0 ? 'ahead of' : 'behind'} ours`

/** To the second, in UTC. */
export const isoTime = (unixSeconds: number): string =>
  new Date(unixSeconds * 1000).toISOString().replace('.000Z', 'Z')

const valueOf = <P extends ProbeName>(
  probes: BuilderState['probes'],
  probe: P,
): ProbeValues[P] | null => {
  // The record of P holds values of P; TypeScript loses that through the index
  const outcome = probes[probe]?.lastGood?.outcome
  return outcome && 'value' in outcome ? (outcome.value ?? null) : null
}
