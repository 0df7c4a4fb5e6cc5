/** Compares a result of `check` with what Nix itself does: a real build with the same settings. */
import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { builtSeed } from '../../src/probes/canary/derivation.ts'
import {
  atClient,
  machineLine,
  shared,
  type Answer,
  type BuilderAnswer,
  type CheckOptions,
  type Client,
  type Line,
} from './support.ts'

/** A build that takes longer hangs as far as people are concerned. */
export const maxBuildSeconds = 60

/** What a real build did. */
export interface RealBuild {
  /** `hangs`: no end within `maxBuildSeconds`. */
  readonly ended: 'built' | 'failed' | 'hangs'
  readonly seconds: number
  /** The end of its output. Empty when it was built. */
  readonly output: string
}

/** The input of real builds, on each client: built there, so that it has no signature. */
const seeds = new Map<Client, Promise<string>>()

const seedOf = (client: Client): Promise<string> => {
  const known = seeds.get(client)
  if (known) return known
  const path = (async () => {
    const expression = builtSeed(randomBytes(8).toString('hex'))
    const { stdout, stderr } = await atClient(
      client,
      `nix-build --max-jobs 1 --builders '' -o /root/oracle-seed -E '${expression}'`,
    )
    if (!stdout.startsWith('/nix/store/'))
      throw new Error(`${client} cannot build an input: ${stderr}`)
    return stdout.trim()
  })()
  seeds.set(client, path)
  return path
}

/**
 * Builds a new derivation with `nix-build --max-jobs 0` and with the settings of a `check` of this line, as root, once
 * for each system of the line.
 */
export const buildReally = async (
  { client, env, config, extra }: Omit<CheckOptions, 'lines'>,
  line: Line,
): Promise<RealBuild> => {
  const seed = await seedOf(client)
  const dir = await shared()
  try {
    const lines = [machineLine(line), ...(extra ?? [])]
    await writeFile(join(dir.outside, 'machines'), `${lines.join('\n')}\n`)
    const variables = Object.entries(env ?? {}).map(
      ([name, value]) => `${name}='${value}'`,
    )
    const builds = (line.systems ?? 'x86_64-linux').split(',').map(async system => {
      const derivation =
        `derivation { name = "oracle"; system = "${system}"; builder = "/bin/sh"; ` +
        `args = [ "-c" "test -e $seed && echo $nonce > $out" ]; seed = builtins.storePath ${seed}; ` +
        `nonce = "${randomBytes(8).toString('hex')}"; allowSubstitutes = false; }`
      const command = `env ${variables.join(' ')} timeout --kill-after=5 ${maxBuildSeconds} nix-build --no-out-link --max-jobs 0 -E '${derivation}'`
      const ran = await atClient(client, command, {
        NIX_CONFIG: `builders = @${dir.inside}/machines\n${config ?? ''}`,
      })
      const ended =
        ran.exit === 0
          ? 'built'
          : ran.exit === 124 || ran.exit === 137
            ? 'hangs'
            : 'failed'
      const output = ended === 'built' ? '' : ran.stderr.trim().slice(-1500)
      return { ended, seconds: ran.seconds, output } as const
    })
    const results = await Promise.all(builds)
    return results.find(({ ended }) => ended !== 'built') ?? results[0]!
  } finally {
    await dir.drop()
  }
}

/**
 * Returns how a result contradicts the real build, or null: a builder that builds is not down, and where no build
 * succeeds the builder or a check of the client is not healthy.
 */
export const contradiction = (
  { ended, seconds }: RealBuild,
  builder: BuilderAnswer,
  { client }: Answer,
): string | null => {
  const kind = builder.cause?.kind ?? 'no cause'
  if (ended === 'built')
    return builder.state === 'down'
      ? `false red: down (${kind}), but Nix builds in ${seconds.toFixed(1)} s`
      : null
  const clientIsReady = Object.values(client.checks).every(
    ({ status }) => status === 'ok' || status === 'skipped',
  )
  return builder.state === 'healthy' && clientIsReady
    ? `false green: healthy, but the build ${ended === 'hangs' ? 'hangs' : 'fails'}`
    : null
}
