import type { BuilderState, Cause, Snapshot } from '../model.ts'
import { reasonOf } from './kinds.ts'

/** One cause that several builders have in common. */
export interface SharedCause {
  /** `the jump host gate`, `host b1:22`. */
  readonly parent: string
  readonly reason: string
  /** Names of the builders that hang on it, two at least, in the order of the list. */
  readonly builders: readonly string[]
}

/**
 * The causes that builders share: those behind one jump host that is at fault itself, and machine lines of one host. A
 * cause that depends on the line (user, key, scheme) is shared only where these are the same. Pure.
 */
export const sharedCauses = (builders: Snapshot['builders']): readonly SharedCause[] => {
  const groups = new Map<string, { parent: string; reason: string; builders: string[] }>()
  for (const state of builders.values()) {
    const { cause } = state.verdict
    if (!cause || cause.probe === 'config') continue
    const parent = parentOf(state, cause)
    if (parent === null) continue
    const key = JSON.stringify([parent, cause.kind, ...ownOf(state, cause)])
    const group = groups.get(key)
    if (group) group.builders.push(state.builder.name)
    else
      groups.set(key, {
        parent,
        reason: reasonOf(cause.kind, cause.params),
        builders: [state.builder.name],
      })
  }
  return [...groups.values()].filter(group => group.builders.length > 1)
}

const parentOf = ({ builder, probes }: BuilderState, cause: Cause): string | null => {
  const { jump } = cause.params
  if (jump) return `the jump host ${jump}`
  const outcome = probes.login?.conclusive?.outcome
  const endpoint = outcome && 'value' in outcome ? outcome.value?.endpoint : undefined
  if (endpoint) return `host ${endpoint}`
  return builder.host === null ? null : `host ${builder.host}:${builder.port ?? 22}`
}

/** What else has to be the same: nothing for what the whole host is to blame for. */
const ownOf = ({ builder }: BuilderState, cause: Cause): readonly (string | null)[] => {
  if (cause.params['jump']) return []
  const ofHost =
    (cause.probe === 'login' && !/^(?:auth|key|certificate)_/.test(cause.kind)) ||
    cause.probe === 'disk' ||
    cause.probe === 'memory'
  return ofHost ? [] : [builder.scheme, builder.user, builder.sshKey, cause.probe]
}
