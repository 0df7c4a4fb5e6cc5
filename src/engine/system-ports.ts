import type {
  AskLocalDaemon,
  Builder,
  Clock,
  Dial,
  FindEndpoint,
  LocalNix,
  Run,
} from '../model/index.ts'
import { createCheckClient, type CheckClient } from '../probes/client/checks.ts'
import { createIsOffline } from '../probes/client/network.ts'
import { localSystem } from '../probes/client/local-system.ts'
import { createReadSlotLocks, type ReadSlotLocks } from '../probes/slots/slot-locks.ts'
import { createAskSshSubstituter } from '../transport/ask-ssh-substituter.ts'
import { askSubstituter } from '../transport/ask-substituter.ts'
import { createAskLocalDaemon } from '../transport/local-daemon.ts'
import { createDial } from '../transport/ssh/dial.ts'
import { createFindEndpoint } from '../transport/ssh/find-endpoint.ts'
import type { DialDeps } from '../transport/ssh/prepare-login.ts'
import { createCheckSshConfig } from '../transport/ssh/options/check-ssh-config.ts'
import { createResolveSshConfigAs } from '../transport/ssh/resolve-ssh-config-as.ts'

/** Everything outside of this process that probes reach. Tests replace it. */
export interface MonitorPorts {
  readonly run: Run
  readonly clock: Clock
  readonly dial: Dial
  readonly askLocalDaemon: AskLocalDaemon
  readonly readSlotLocks: ReadSlotLocks
  readonly checkClient: CheckClient
  /** Returns whether this machine has no way to a builder. `address`: the last one tried, null for none. */
  readonly isOffline: (builder: Builder, address: string | null) => Promise<boolean>
  /** Absent where no ssh program is used (the demo). */
  readonly findEndpoint?: FindEndpoint
}

export interface SystemPortsDeps {
  readonly run: Run
  readonly clock: Clock
  /** The environment of this process. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** The environment of our ssh, when credentials were passed by systemd. `env` by default. */
  readonly sshEnv?: Readonly<Record<string, string | undefined>>
  /** Replaces `ssh -G`, for the demo. */
  readonly resolve?: DialDeps['resolve']
  readonly keepalive?: DialDeps['keepalive']
  readonly nix: () => LocalNix
}

/** Returns the ports to the real system: ssh, the local nix-daemon, lock files, this machine. */
export const createSystemPorts = (deps: SystemPortsDeps): MonitorPorts => {
  const { run, clock, env, sshEnv = env, resolve, nix } = deps
  const askLocalDaemon = createAskLocalDaemon(env)
  const askSshSubstituter = createAskSshSubstituter({ run, env: sshEnv, nix })
  return {
    run,
    clock,
    askLocalDaemon,
    dial: createDial({
      ...{ run, clock, nix, env: sshEnv },
      ...(resolve ? { resolve } : {}),
      ...(deps.keepalive ? { keepalive: deps.keepalive } : {}),
    }),
    isOffline: createIsOffline(localSystem),
    ...(resolve ? {} : { findEndpoint: createFindEndpoint({ run, env: sshEnv, nix }) }),
    readSlotLocks: createReadSlotLocks({ env, monotonic: clock.monotonic }),
    checkClient: createCheckClient({
      localSystem,
      env: sshEnv,
      askLocalDaemon,
      clock,
      checkSshConfig: createCheckSshConfig({ run, env: sshEnv, nix }),
      resolveSshConfigAs: createResolveSshConfigAs({ run, env, nix }),
      run,
      askSubstituter: (url, timeoutMs, signal) =>
        (url.protocol.startsWith('ssh') ? askSshSubstituter : askSubstituter)(
          url,
          timeoutMs,
          signal,
        ),
    }),
  }
}
