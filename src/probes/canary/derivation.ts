/** The Nix expressions of a canary. They need no nixpkgs, only a shell's builtins. */
import { exportFile } from '../../nix/protocol/export.ts'
import { sha256, storePath } from '../../nix/protocol/store-path.ts'

export interface CanaryRequest {
  /** New for each build: otherwise the output path exists already and nothing is built. */
  readonly nonce: string
  /** Expression of the store path that the build depends on. */
  readonly seed: string
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

/** Input path for `nix-store --import`: input-addressed and unsigned. */
export const importedSeed = (
  nonce: string,
): { readonly expression: string; readonly archive: Uint8Array } => {
  const innerHash = sha256(nonce)
  const path = storePath({ type: 'output:out', innerHash, name: seedName })
  return {
    expression: `builtins.storePath ${nixString(path)}`,
    archive: exportFile(path, nonce),
  }
}

/** Writes the nonce and the builder's host name, with builtins alone: a sandbox has no cat and no hostname. */
const script =
  'h=; for f in /etc/hostname /proc/sys/kernel/hostname; do ' +
  'if test -z "$h" && test -r $f; then read h < $f || :; fi; done; ' +
  'test -e $seed || exit 9; ' +
  'case " $requiredSystemFeatures " in *" kvm "*) test -w /dev/kvm || { echo "/dev/kvm cannot be opened"; exit 8; };; esac; ' +
  'echo "$nonce ${h:-unknown}" > $out'

export const canaryExpression = (request: CanaryRequest): string => {
  const seed = `seed = ${request.seed};`
  const common =
    `name = "builder-monitor-canary"; system = ${nixString(request.system)}; inherit seed; ` +
    `nonce = ${nixString(request.nonce)}; preferLocalBuild = false; allowSubstitutes = false;`
  const features = request.features.length
    ? `requiredSystemFeatures = [ ${request.features.map(nixString).join(' ')} ];`
    : ''
  const build =
    request.builder === 'shell'
      ? `builder = "/bin/sh"; args = [ "-c" ${nixString(script)} ];`
      : `builder = "builtin:buildenv"; derivations = ""; manifest = "\${seed}";`
  return `let ${seed} in derivation { ${common} ${features} ${build} }`
}
