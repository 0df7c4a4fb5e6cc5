import type {
  ActiveBuilders,
  AskLocalDaemon,
  AskSubstituter,
  CheckSshConfig,
  LocalCheck,
  ClientOutcome,
  ClientState,
  Clock,
  ResolveSshConfigAs,
  Run,
} from '../../model/index.ts'
import { checkCapacity } from './capacity.ts'
import { checkConfig } from './config.ts'
import { checkDaemon } from './daemon.ts'
import { checkHook } from './hook.ts'
import {
  outcome,
  ok,
  type ClientContext,
  type KnownLogin,
  type KnownLogins,
} from './outcome.ts'
import { checkNetwork } from './network.ts'
import { checkDisk, checkMemory } from './resources.ts'
import { checkSettings } from './settings.ts'
import { checkSubstituters } from './substituters.ts'
import { checkIdentity, checkKeys, checkSsh } from './ssh.ts'
import { readSshTimeouts } from './ssh-timeouts.ts'
import type { LocalSystem } from './local-system.ts'

export interface ClientDeps {
  readonly localSystem: LocalSystem
  readonly env: Readonly<Record<string, string | undefined>>
  readonly askLocalDaemon: AskLocalDaemon
  readonly clock: Clock
  readonly resolveSshConfigAs?: ResolveSshConfigAs
  readonly checkSshConfig?: CheckSshConfig
  readonly run?: Run
  readonly askSubstituter?: AskSubstituter
}

/** Checks whether this machine can send builds. `logins` can resolve later than all other results. */
export type CheckClient = (
  active: ActiveBuilders,
  signal: AbortSignal,
  logins?: KnownLogins,
) => Promise<ClientState>

type Check = (context: ClientContext) => Promise<ClientOutcome> | ClientOutcome

/** Checks whether the daemon trusts us, which canaries through the daemon need. */
const checkTrust: Check = async context => {
  const { daemon } = context
  if (daemon.answers) return daemon.trusted ? ok : outcome('skipped', 'client_untrusted')
  const answer = await checkDaemon(context)
  return answer.status === 'skipped'
    ? answer
    : outcome('skipped', 'dependency_failed', { waitsFor: 'daemon' })
}

const checks: Readonly<Record<LocalCheck, Check>> = {
  config: checkConfig,
  settings: checkSettings,
  capacity: checkCapacity,
  hook: checkHook,
  substituters: checkSubstituters,
  daemon: checkDaemon,
  trust: checkTrust,
  ssh: checkSsh,
  identity: checkIdentity,
  keys: checkKeys,
  disk: checkDisk,
  memory: checkMemory,
  network: checkNetwork,
}

/** Runs all checks in parallel. Together they take 0.3 s, and 10 s if a binary cache does not answer. */
export const createCheckClient =
  ({
    localSystem,
    env,
    askLocalDaemon,
    clock,
    resolveSshConfigAs,
    checkSshConfig,
    run,
    askSubstituter,
  }: ClientDeps): CheckClient =>
  async (active, signal, logins = Promise.resolve(new Map<string, KnownLogin>())) => {
    const hasNix = active.nix.version !== null && active.source !== 'demo'
    const daemon = hasNix
      ? await askLocalDaemon(signal)
      : ({ answers: false, reason: 'ENOENT' } as const)
    const context = {
      localSystem,
      env,
      active,
      daemon,
      logins,
      signal,
      ...(resolveSshConfigAs ? { resolveSshConfigAs } : {}),
      ...(checkSshConfig ? { checkSshConfig } : {}),
      ...(run ? { run } : {}),
      ...(askSubstituter ? { askSubstituter } : {}),
    }
    const [results, sshTimeouts] = await Promise.all([
      Promise.all(
        Object.entries(checks).map(async ([name, check]) => [name, await check(context)]),
      ),
      readSshTimeouts(context),
    ])
    return {
      at: clock.now() / 1000,
      // The record is created from the table of checks, so it is complete
      checks: Object.fromEntries(results) as ClientState['checks'],
      ...(sshTimeouts ? { sshTimeouts } : {}),
    }
  }
