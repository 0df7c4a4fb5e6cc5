import type {
  ActiveBuilders,
  ClientCheck,
  ClientOutcome,
  ClientState,
  Clock,
  HostKeySeen,
} from '../../model.ts'
import type { CanaryDeps } from '../canary.ts'
import { checkConfig } from './config.ts'
import { checkDaemon } from './daemon.ts'
import { found, ok, type ClientContext, type HostKeys } from './outcome.ts'
import { checkDisk, checkMemory, checkNetwork } from './resources.ts'
import { checkIdentity, checkKeys, checkSsh } from './ssh.ts'
import type { Machine } from './machine.ts'
import type { AskSsh } from './parity.ts'

export interface ClientDeps {
  readonly machine: Machine
  readonly env: Readonly<Record<string, string | undefined>>
  readonly askLocalDaemon: CanaryDeps['askLocalDaemon']
  readonly clock: Clock
  readonly askSsh?: AskSsh
}

/** Looks whether this machine is fit to send builds. `hostKeys` may come later than all other answers. */
export type LookAtClient = (
  active: ActiveBuilders,
  signal: AbortSignal,
  hostKeys?: HostKeys,
) => Promise<ClientState>

type Check = (context: ClientContext) => Promise<ClientOutcome> | ClientOutcome

/** What the daemon says decides its own check, and whether canaries could go through it. */
const checkTrust: Check = ({ active, daemon }) =>
  active.nix.version === null
    ? found('skipped', 'no_local_nix')
    : !daemon.answers
      ? found('skipped', 'not_tried', { waitsFor: 'daemon' })
      : daemon.trusted
        ? ok
        : found('skipped', 'client_untrusted')

const checks: Readonly<Record<ClientCheck, Check>> = {
  config: checkConfig,
  daemon: checkDaemon,
  trust: checkTrust,
  ssh: checkSsh,
  identity: checkIdentity,
  keys: checkKeys,
  disk: checkDisk,
  memory: checkMemory,
  network: checkNetwork,
}

/** All checks side by side; each asks little, so that the whole takes some tens of milliseconds. */
export const createLookAtClient =
  ({ machine, env, askLocalDaemon, clock, askSsh }: ClientDeps): LookAtClient =>
  async (active, signal, hostKeys = Promise.resolve(new Map<string, HostKeySeen>())) => {
    const hasNix = active.nix.version !== null && active.source !== 'demo'
    const daemon = hasNix
      ? await askLocalDaemon(signal)
      : ({ answers: false, reason: 'ENOENT' } as const)
    const context = {
      machine,
      env,
      active,
      daemon,
      hostKeys,
      signal,
      ...(askSsh ? { askSsh } : {}),
    }
    const results = await Promise.all(
      Object.entries(checks).map(async ([name, check]) => [name, await check(context)]),
    )
    return {
      at: clock.now() / 1000,
      // Built from the table of the checks, so every name is there
      checks: Object.fromEntries(results) as ClientState['checks'],
    }
  }
