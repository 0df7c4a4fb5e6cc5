import type {
  BuilderState,
  ClientCheck,
  ClientOutcome,
  Kind,
  Result,
  Snapshot,
} from '../model/index.ts'
import { configCause } from './diagnose.ts'

/** Kinds of a canary that this machine could not prepare. */
const preparationKinds: ReadonlySet<Kind> = new Set<Kind>([
  'client_temp_unusable',
  'client_resources',
  'client_disk_full',
  'client_nix_broken',
  'hook_broken',
])

/**
 * Returns the newest checks of this machine, if it was checked. The check of the builders list uses the current list.
 * `canary`, and `network` where the addresses alone do not show it, follow from probes that could not be attempted.
 */
export const clientOutcomes = ({
  problems,
  client,
  builders,
}: Pick<Snapshot, 'problems' | 'client' | 'builders'>): Readonly<
  Partial<Record<ClientCheck, ClientOutcome>>
> => {
  const fatal = problems.find(problem => problem.isFatal)
  const checks = client?.checks
  const isFixed = checks?.config.status === 'failed'
  const config: ClientOutcome = fatal
    ? { status: 'failed', ...configCause(fatal) }
    : checks && !isFixed
      ? checks.config
      : { status: 'ok' }
  if (!checks) return { config }
  const states = [...builders.values()]
  const offline = findSkipped(states, 'login', kind => kind === 'client_offline')
  const unprepared = findSkipped(states, 'canary', kind => preparationKinds.has(kind))
  return {
    ...checks,
    config,
    ...(offline ? { network: { ...offline, status: 'failed' } } : {}),
    canary: unprepared ? { ...unprepared, status: 'degraded' } : { status: 'ok' },
  }
}

/** Returns the first probe whose newest attempt was skipped for such a kind. */
const findSkipped = (
  states: readonly BuilderState[],
  probe: 'login' | 'canary',
  matches: (kind: Kind) => boolean,
): Pick<Extract<ClientOutcome, { kind: Kind }>, 'kind' | 'params'> | null => {
  for (const { probes } of states) {
    const last: Result | undefined = probes[probe]?.last
    if (last?.outcome.status === 'skipped' && matches(last.outcome.kind))
      return { kind: last.outcome.kind, params: last.outcome.params }
  }
  return null
}
