import type { Builder, Cause, ProbeRecords } from '../model/index.ts'
import { isReachedBySsh, isSshScheme } from '../nix/machines/store-uri.ts'
import { suggestLine } from '../nix/machines/suggest-line.ts'
import { oneLine } from '../text/truncate.ts'
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
  const hasBuilt = probes.canary?.last.outcome.status === 'ok'
  if (isSshScheme(builder.scheme) && builder.host === null && !hasBuilt) {
    const meant = suggestLine(builder.line, '-')
    const uri = {
      detail: oneLine(builder.storeUri, 120),
      ...(meant ? { value: oneLine(meant.line, 400) } : {}),
    }
    const cause = { kind: 'store_uri_invalid', params: { ...params, ...uri } } as const
    return { down: true, cause: { probe: 'config', ...cause } }
  }
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
