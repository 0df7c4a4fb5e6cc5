import type { Builder, Cause, ProbeRecords } from '../model/index.ts'
import { isReachedBySsh, isSshScheme } from '../nix/machines/store-uri.ts'
import { resultValue } from './freshness.ts'
import { builderParams } from './params.ts'

/** What the machine line alone makes of a builder, whatever its probes found. */
export interface LineCause {
  readonly down: boolean
  readonly cause: Cause
}

/** Returns why no build for this line can ever end; null if there is no such reason. Pure. */
export const findLineCause = (
  builder: Builder,
  probes: ProbeRecords,
): LineCause | null => {
  const params = {
    ...builderParams(builder),
    origin: `${builder.origin.file}:${builder.origin.line}`,
  }
  const reachesOwnStore = resultValue(probes.system?.lastSuccess)?.isOwnStore === true
  if (isOwnStore(builder) || reachesOwnStore)
    return { down: true, cause: { probe: 'config', kind: 'same_store', params } }
  return builder.maxJobs === 0
    ? { down: false, cause: { probe: 'config', kind: 'no_slots', params } }
    : null
}

/** A store URI without a directory of its own names the store that Nix uses anyway (store-api.cc openStore). */
const ownStore = /^(?:(?:auto|daemon|local)(?:\?|$)|local:\/\/(?:\?|$)|unix:\/\/)/
const ownDirectory = ['root', 'store', 'state', 'real', 'remote-store']

/** Whether the line names the store of this machine. For `localhost` Nix starts the remote command without ssh. */
const isOwnStore = (builder: Builder): boolean => {
  const isLocal = isSshScheme(builder.scheme)
    ? builder.host === 'localhost' && !isReachedBySsh(builder)
    : ownStore.test(builder.storeUri)
  return isLocal && ownDirectory.every(name => builder.params[name] === undefined)
}
