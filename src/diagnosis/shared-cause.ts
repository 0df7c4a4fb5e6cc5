import type { BuilderState, Cause, Snapshot } from '../model/index.ts'
import { formatMessage } from './kinds/index.ts'

/** One cause that several builders have in common. */
export interface SharedCause {
  /** `the jump host gate`, `host b1:22`. */
  readonly scope: string
  readonly message: string
  /** Names of the builders that hang on it, two at least, in the order of the list. */
  readonly builders: readonly string[]
}

/**
 * The causes that builders share: those behind one jump host that is at fault itself, and machine lines of one host. A
 * cause that depends on the line (user, key, scheme) is shared only where these are the same. Pure.
 */
export const sharedCauses = (builders: Snapshot['builders']): readonly SharedCause[] => {
  const groups = new Map<string, { scope: string; message: string; builders: string[] }>()
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
        message: formatMessage(cause.kind, cause.params),
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

/** What else has to be the same: nothing for what the whole host is to blame for. */
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
