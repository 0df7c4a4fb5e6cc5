/** The Nix expressions of a canary. They need no nixpkgs, only a shell's builtins. */
import { exportFiles } from '../../nix/protocol/export.ts'
import { sha256, storePath } from '../../nix/protocol/store-path.ts'
import { programExitCode, programFor } from './executables.ts'

export interface CanaryRequest {
  /** New for each build: otherwise the output path exists already and nothing is built. */
  readonly nonce: string
  readonly seed: Seed
  readonly system: string
  readonly features: readonly string[]
  /** `shell` verifies system and features; `builtin` is for sandboxes without /bin/sh and verifies neither. */
  readonly builder: 'shell' | 'builtin'
}

const nixString = (text: string): string =>
  `"${text.replace(/[\\"]/g, '\\$&').replaceAll('${', '\\${')}"`

/** Name of the unsigned input path. Like real inputs, it can be copied only to builders that trust us. */
const seedName = 'builder-monitor-seed'

/** Expression of an input path that the local Nix builds. */
export const builtSeed = (nonce: string): string =>
  `derivation { name = "${seedName}"; system = builtins.currentSystem; builder = "builtin:buildenv"; ` +
  `derivations = ""; manifest = ${nixString(nonce)}; preferLocalBuild = true; allowSubstitutes = false; }`

/** The input path of one canary build. */
export interface Seed {
  /** A Nix expression of the path. */
  readonly expression: string
  /** Whether it is a program for the system of the build, which the build executes. */
  readonly isProgram: boolean
}

/**
 * Creates the input path of each system, input-addressed and unsigned, and the archive for `nix-store --import`. One path for
 * each build: a builder that collects garbage can delete the first of two inputs before the second arrives.
 */
export const importedSeeds = (
  nonce: string,
  systems: readonly string[],
): { readonly seedOf: (system: string) => Seed; readonly archive: Uint8Array } => {
  const files = new Map(
    systems.map(system => {
      const program = programFor(system)
      // What follows the program is not loaded
      const contents = Buffer.concat([program ?? Buffer.alloc(0), Buffer.from(nonce)])
      const innerHash = sha256(`${system} ${nonce}`)
      const path = storePath({ type: 'output:out', innerHash, name: seedName })
      return [system, { path, contents, isExecutable: program !== null }] as const
    }),
  )
  return {
    seedOf: system => {
      const file = files.get(system)
      return {
        expression: `builtins.storePath ${nixString(file?.path ?? '')}`,
        isProgram: file?.isExecutable ?? false,
      }
    },
    archive: exportFiles([...files.values()]),
  }
}

/** Writes the nonce and the builder's host name, with builtins alone: a sandbox has no cat and no hostname. */
const script =
  'h=; for f in /etc/hostname /proc/sys/kernel/hostname; do ' +
  'if test -z "$h" && test -r $f; then read h < $f || :; fi; done; ' +
  'test -e $seed || exit 9; ' +
  'case " $requiredSystemFeatures " in *" kvm "*) test -w /dev/kvm || { echo "/dev/kvm cannot be opened"; exit 8; };; esac; ' +
  // A shell of the machine itself says nothing about another system
  `if test -n "$isProgram"; then r=0; $seed 2>/dev/null || r=$?; ` +
  `test "$r" = ${programExitCode} || { echo "$seed for $system: Exec format error"; exit 7; }; fi; ` +
  'echo "$nonce ${h:-unknown}" > $out'

export const canaryExpression = (request: CanaryRequest): string => {
  const seed = `seed = ${request.seed.expression};`
  const common =
    `name = "builder-monitor-canary"; system = ${nixString(request.system)}; inherit seed; ` +
    `nonce = ${nixString(request.nonce)}; preferLocalBuild = false; allowSubstitutes = false;`
  const program = request.seed.isProgram ? 'isProgram = "1";' : ''
  const features = request.features.length
    ? `requiredSystemFeatures = [ ${request.features.map(nixString).join(' ')} ];`
    : ''
  const build =
    request.builder === 'shell'
      ? `builder = "/bin/sh"; args = [ "-c" ${nixString(script)} ]; ${program}`
      : `builder = "builtin:buildenv"; derivations = ""; manifest = "\${seed}";`
  return `let ${seed} in derivation { ${common} ${features} ${build} }`
}
