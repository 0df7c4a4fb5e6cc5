/** The Nix expressions of a canary. They use no nixpkgs and nothing but a shell's builtins. */

/** What one canary build asks for. */
export interface CanaryRequest {
  /** Fresh for each build: the output path must be new, or the answer comes from a store. */
  readonly nonce: string
  readonly system: string
  readonly features: readonly string[]
  /** `shell` proves system and features; `builtin` is for sandboxes without /bin/sh and proves neither. */
  readonly builder: 'shell' | 'builtin'
}

const nixString = (text: string): string =>
  `"${text.replace(/[\\"]/g, '\\$&').replaceAll('${', '\\${')}"`

/**
 * An unsigned path made here, for the canary to need: an account that the builder does not trust cannot receive it, as
 * it cannot receive real inputs.
 */
export const seedExpression = (nonce: string): string =>
  `derivation { name = "builder-monitor-seed"; system = builtins.currentSystem; builder = "builtin:buildenv"; ` +
  `derivations = ""; manifest = ${nixString(nonce)}; preferLocalBuild = true; allowSubstitutes = false; }`

/** Writes the nonce and the builder's host name, with builtins alone: a sandbox has no cat and no hostname. */
const script =
  'h=; for f in /etc/hostname /proc/sys/kernel/hostname; do ' +
  'if test -z "$h" && test -r $f; then read h < $f || :; fi; done; ' +
  'test -e $seed/manifest.nix || test -L $seed/manifest.nix || exit 9; ' +
  'case " $requiredSystemFeatures " in *" kvm "*) test -w /dev/kvm || { echo "/dev/kvm cannot be opened"; exit 8; };; esac; ' +
  'echo "$nonce ${h:-unknown}" > $out'

export const canaryExpression = (request: CanaryRequest): string => {
  const seed = `seed = ${seedExpression(request.nonce)};`
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
