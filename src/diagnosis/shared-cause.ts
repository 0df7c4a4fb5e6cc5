import type { BuilderState, Cause, Snapshot } from '../model/index.ts'
import { formatMessage } from './kinds/index.ts'

/** A cause that several builders share. */
export interface SharedCause {
  /** `the jump host gate`, `host b1:22`. */
  readonly scope: string
  readonly reason: string
  /** Names of the affected builders, at least two, in the order of the list. */
  readonly builders: readonly string[]
}

/**
 * Groups builders by cause: those behind one failed jump host, and machine lines of one host. A cause that depends on
 * the line (user, key, scheme) is shared only by lines that have the same. Pure.
 */
export const sharedCauses = (builders: Snapshot['builders']): readonly SharedCause[] => {
  const groups = new Map<string, { scope: string; reason: string; builders: string[] }>()
  for (const state of builders.values()) {
    const { cause } = state.health
    if (!cause || cause.probe === 'config') continue
    const scope = sharedScope(state, cause)
    if (scope === null) continue
    const key = JSON.stringify([scope, cause.kind, ...extraKey(state, cause)])
    const group = groups.get(key)
    if (group) group.builders.push(state.builder.name)
    else
      groups.set(key, {
        scope,
        reason: formatMessage(cause.kind, cause.params),
        builders: [state.builder.name],
      })
  }
  return [...groups.values()].filter(group => group.builders.length > 1)
}

const sharedScope = ({ builder, probes }: BuilderState, cause: Cause): string | null => {
  const { jump } = cause.params
  if (jump) return `the jump host ${jump}`
  const outcome = probes.login?.conclusive?.outcome
  const endpoint = outcome && 'value' in outcome ? outcome.value?.endpoint : undefined
  if (endpoint) return `host ${endpoint}`
  return builder.host === null ? null : `host ${builder.host}:${builder.port ?? 22}`
}

/** Returns what else must be equal: nothing for a cause that affects the whole host. */
const extraKey = (
  { builder }: BuilderState,
  cause: Cause,
): readonly (string | null)[] => {
  if (cause.params['jump']) return []
  const isHostWide =
    (cause.probe === 'login' && !/^(?:auth|key|certificate)_/.test(cause.kind)) ||
    cause.probe === 'disk' ||
    cause.probe === 'memory'
  return isHostWide ? [] : [builder.scheme, builder.user, builder.sshKey, cause.probe]
}
