/** Which Nix we speak with: versions, and what the grammar of its settings depends on. */

/** The number in what `nix --version` prints, for all vendors; null where there is none. */
export const parseNixVersion = (text: string): string | null =>
  // `nix (Determinate Nix 3.6.0) 2.29.0`: the number of Nix itself comes last
  /(?:^|\s)(\d+\.\d+(?:\.\d+)*[0-9a-zA-Z._+-]*)\s*$/.exec(
    text.split('\n', 1)[0] ?? '',
  )?.[1] ?? null

/** Is the version (`2.26.3`, `2.92.0-dev`) at least this? An unknown version is the newest. */
export const atLeast = (
  version: string | null,
  major: number,
  minor: number,
  patch = 0,
): boolean => {
  const wanted = [major, minor, patch]
  const given = numbers(version)
  if (!given) return true
  const at = wanted.findIndex((n, i) => n !== (given[i] ?? 0))
  return at < 0 || (given[at] ?? 0) > (wanted[at] ?? 0)
}

/** Lix counts its minor versions from 90 and branched off at Nix 2.18. */
export const isLix = (version: string | null): boolean => {
  const given = numbers(version)
  return given !== null && given[0] === 2 && (given[1] ?? 0) >= 90
}

/** What a Nix understands. The facts are those of machines.cc, store-reference.cc and config.cc at its tags. */
export interface NixDialect {
  readonly version: string | null
  /** Lix, which keeps the grammar of Nix 2.18 but for fractional speed factors. */
  readonly lix: boolean
  /** `legacy`: cut at `;` before comments, trim nothing. `trimmed`: comments first, then `;`, then trim (2.29). */
  readonly commentParsing: 'legacy' | 'trimmed'
  /** 2.3 decides by the beginning of the text whether `ssh://` is missing; later Nix by `/` and a few words. */
  readonly legacySchemeDetection: boolean
  /** Speed factors may have a fraction (2.20, Lix). */
  readonly fractionalSpeed: boolean
  /** The host key column must be base64 (2.5). */
  readonly checksHostKey: boolean
  /** Store URIs are parsed with the list, so a bad one fails every build (2.23, not Lix). */
  readonly parsesUris: boolean
  /** RFC 3986 authorities: ports are understood, names decoded (2.31, not Lix). */
  readonly authorities: boolean
  /** IPv6 addresses without brackets are understood (all but 2.31.0 and 2.31.1). */
  readonly bareIpv6: boolean
  /** Zone ids need not be percent-encoded (all but 2.31.0-4, 2.32.0-7). */
  readonly bareZones: boolean
  /** A relative ssh key cannot be used (2.35). */
  readonly requiresAbsoluteKeyPaths: boolean
  /** Integers may have a suffix K, M, G or T (2.23, not Lix). */
  readonly sizeSuffixes: boolean
  /** Elements of NIX_REMOTE_SYSTEMS are joined by newlines, not blanks (2.24, not Lix). */
  readonly joinsByNewline: boolean
  /** NIX_CONFIG_HOME is read (2.25, not Lix). */
  readonly configHome: boolean
  /** TOML machines lists: `strict` in Lix 2.95, `lenient` (a shape that is wrong may be lines) from 2.96 on. */
  readonly tomlMachines: 'none' | 'strict' | 'lenient'
}

/** What this version understands; the newest where it is not known. */
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

const numbers = (version: string | null): readonly number[] | null =>
  version && /^\d/.test(version) ? (version.match(/\d+/g) ?? []).map(Number) : null
