/** Longer first lines are not from Nix. */
const maxVersionLine = 1000

/** Extracts the version number from the output of `nix --version` of any vendor; null if there is none. */
export const parseNixVersion = (text: string): string | null => {
  const [line = ''] = text.slice(0, maxVersionLine).split('\n', 1)
  if (line.length === maxVersionLine) return null
  // `nix (Determinate Nix 3.6.0) 2.29.0`: the number of Nix itself comes last
  const last = line.trim().split(/\s/).at(-1) ?? ''
  return /^\d+\.\d[\w.+-]*$/.test(last) ? last : null
}

/** Compares a version (`2.26.3`, `2.92.0-dev`) with a minimum. An unknown version counts as the newest. */
export const atLeast = (
  version: string | null,
  major: number,
  minor: number,
  patch = 0,
): boolean => {
  const minimum = [major, minor, patch]
  const actual = parseVersion(version)
  if (!actual) return true
  const at = minimum.findIndex((n, i) => n !== (actual[i] ?? 0))
  return at < 0 || (actual[at] ?? 0) > (minimum[at] ?? 0)
}

/** Lix forked from Nix 2.18 and numbers its minor versions from 90. */
export const isLix = (version: string | null): boolean => {
  const actual = parseVersion(version)
  return actual !== null && actual[0] === 2 && (actual[1] ?? 0) >= 90
}

/** Syntax that a version of Nix accepts. Sources: machines.cc, store-reference.cc and config.cc at each release tag. */
export interface NixDialect {
  readonly version: string | null
  /** Lix keeps the grammar of Nix 2.18, except for fractional speed factors. */
  readonly lix: boolean
  /** `legacy`: splits at `;` before it strips comments, trims nothing. `trimmed` (2.29): comments first, then `;`, then trim. */
  readonly commentParsing: 'legacy' | 'trimmed'
  /** 2.3 adds `ssh://` depending on how the text begins; later versions add it to texts without `/` except a few words. */
  readonly legacySchemeDetection: boolean
  /** Speed factors can have a fraction (2.20, Lix). */
  readonly fractionalSpeed: boolean
  /** The host key column must be base64 (2.5). */
  readonly checksHostKey: boolean
  /** Store URIs are parsed with the list, so one invalid URI fails every build (2.23, not Lix). */
  readonly parsesUris: boolean
  /** Authorities follow RFC 3986: ports work, names are percent-decoded (2.31, not Lix). */
  readonly authorities: boolean
  /** IPv6 addresses work without brackets (all except 2.31.0 and 2.31.1). */
  readonly bareIpv6: boolean
  /** IPv6 zone ids work without percent-encoding (all except 2.31.0-4 and 2.32.0-7). */
  readonly bareZones: boolean
  /** The path of the ssh key must be absolute (2.35). */
  readonly requiresAbsoluteKeyPaths: boolean
  /** Integers can have a suffix K, M, G or T (2.23, not Lix). */
  readonly sizeSuffixes: boolean
  /** Elements of NIX_REMOTE_SYSTEMS are joined by newlines instead of spaces (2.24, not Lix). */
  readonly joinsByNewline: boolean
  /** NIX_CONFIG_HOME is read (2.25, not Lix). */
  readonly configHome: boolean
  /** TOML machines lists: `strict` in Lix 2.95, `lenient` since 2.96 (an invalid document can still be machine lines). */
  readonly tomlMachines: 'none' | 'strict' | 'lenient'
}

/** Returns the dialect of a version; that of the newest Nix if the version is unknown. */
export const dialectOf = (version: string | null): NixDialect => {
  const lix = isLix(version)
  const nix = (minor: number, patch = 0) => !lix && atLeast(version, 2, minor, patch)
  const zones = (minor: number, patch: number) => nix(minor, patch) && !nix(minor + 1)
  return {
    version,
    lix,
    commentParsing: nix(29) ? 'trimmed' : 'legacy',
    legacySchemeDetection: !atLeast(version, 2, 4),
    fractionalSpeed: lix || nix(20),
    checksHostKey: atLeast(version, 2, 5),
    parsesUris: nix(23),
    authorities: nix(31),
    bareIpv6: !nix(31) || nix(31, 2),
    bareZones: !nix(31) || zones(31, 5) || zones(32, 8) || nix(33),
    requiresAbsoluteKeyPaths: nix(35),
    sizeSuffixes: nix(23),
    joinsByNewline: nix(24),
    configHome: nix(25),
    tomlMachines:
      !lix || !atLeast(version, 2, 95)
        ? 'none'
        : atLeast(version, 2, 96)
          ? 'lenient'
          : 'strict',
  }
}

const parseVersion = (version: string | null): readonly number[] | null =>
  version && /^\d/.test(version) ? (version.match(/\d+/g) ?? []).map(Number) : null
