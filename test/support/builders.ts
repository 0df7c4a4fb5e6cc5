import {
  probeNames,
  type ActiveBuilders,
  type Builder,
  type Outcome,
  type ProbeName,
  type Result,
} from '../../src/model/index.ts'

/** A builder as a machine line would give it; name what matters to the test. */
export const aBuilder = (change: Partial<Builder> = {}): Builder => ({
  name: 'b1',
  storeUri: 'ssh-ng://nix@b1',
  scheme: 'ssh-ng',
  user: 'nix',
  host: 'b1',
  port: null,
  params: {},
  systems: ['x86_64-linux'],
  sshKey: '/etc/nix/key',
  maxJobs: 4,
  speedFactor: 1,
  supportedFeatures: [],
  mandatoryFeatures: [],
  publicHostKey: null,
  origin: { file: '/etc/nix/machines', line: 1 },
  line: 'ssh-ng://nix@b1 x86_64-linux /etc/nix/key 4 1 - -',
  ...change,
})

/** A result at a Unix time. */
export const aResult = <T>(
  probe: ProbeName,
  outcome: Outcome<T>,
  at = 1000,
): Result<T> => ({
  probe,
  outcome,
  at,
  durationSeconds: 0.1,
})

export const ok = <T>(value: T = {} as T): Outcome<T> => ({ status: 'ok', value })

/** Interval of each probe, seconds. */
export const intervals = Object.fromEntries(
  probeNames.map(name => [name, 100]),
) as Record<ProbeName, number>

/** A builders list that was reported by Nix. */
export const listOf = (...builders: readonly Builder[]): ActiveBuilders => ({
  source: 'nix',
  builders,
  problems: [],
  files: [],
  nix: { version: null, system: 'x86_64-linux' },
})
