/** The Nix expressions of a canary. They need no nixpkgs, only a shell's builtins. */
import { exportFiles } from '../../nix/protocol/export.ts'
import { sha256, storePath } from '../../nix/protocol/store-path.ts'
import { programExitCode, programFor } from './executables.ts'

export interface CanaryRequest {
  /** New for each build: otherwise the output path exists already and nothing is built. */
  readonly nonce: string
  /** Expression of the store path that the build depends on. */
  readonly seed: string
  readonly system: string
  /** Expression of a program for that system, which the build executes; null where there is none. */
  readonly program?: string | null
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

/** Input paths of a canary and the archive for `nix-store --import`. */
export interface ImportedSeed {
  readonly expression: string
  /** Returns the expression of a program for a system; null where none is known. */
  readonly program: (system: string) => string | null
  readonly archive: Uint8Array
}

/** Creates input paths: input-addressed and unsigned. One program for each system. */
export const importedSeed = (nonce: string, systems: readonly string[]): ImportedSeed => {
  const pathOf = (text: string, name: string) =>
    storePath({ type: 'output:out', innerHash: sha256(text), name })
  const seed = { path: pathOf(nonce, seedName), contents: nonce }
  const programs = new Map(
    systems.flatMap(system => {
      const contents = programFor(system)
      if (!contents) return []
      const path = pathOf(contents.toString('latin1'), `builder-monitor-${system}`)
      return [[system, { path, contents, isExecutable: true }] as const]
    }),
  )
  const expression = (path: string) => `builtins.storePath ${nixString(path)}`
  return {
    expression: expression(seed.path),
    program: system => {
      const program = programs.get(system)
      return program ? expression(program.path) : null
    },
    archive: exportFiles([seed, ...programs.values()]),
  }
}

/** Writes the nonce and the builder's host name, with builtins alone: a sandbox has no cat and no hostname. */
const script =
  'h=; for f in /etc/hostname /proc/sys/kernel/hostname; do ' +
  'if test -z "$h" && test -r $f; then read h < $f || :; fi; done; ' +
  'test -e $seed || exit 9; ' +
  'case " $requiredSystemFeatures " in *" kvm "*) test -w /dev/kvm || { echo "/dev/kvm cannot be opened"; exit 8; };; esac; ' +
  // A shell of the machine itself says nothing about another system
  `if test -n "$program"; then r=0; $program 2>/dev/null || r=$?; ` +
  `test "$r" = ${programExitCode} || { echo "$program for $system: Exec format error"; exit 7; }; fi; ` +
  'echo "$nonce ${h:-unknown}" > $out'

export const canaryExpression = (request: CanaryRequest): string => {
  const seed = `seed = ${request.seed};`
  const common =
    `name = "builder-monitor-canary"; system = ${nixString(request.system)}; inherit seed; ` +
    `nonce = ${nixString(request.nonce)}; preferLocalBuild = false; allowSubstitutes = false;`
  const program = request.program ? `program = ${request.program};` : ''
  const features = request.features.length
    ? `requiredSystemFeatures = [ ${request.features.map(nixString).join(' ')} ];`
    : ''
  const build =
    request.builder === 'shell'
      ? `builder = "/bin/sh"; args = [ "-c" ${nixString(script)} ]; ${program}`
      : `builder = "builtin:buildenv"; derivations = ""; manifest = "\${seed}";`
  return `let ${seed} in derivation { ${common} ${features} ${build} }`
}
