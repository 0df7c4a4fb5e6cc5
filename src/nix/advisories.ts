import { atLeast, isLix } from './dialect.ts'

/** A security advisory about the daemon of Nix, with the first fixed release of each branch that got one. */
export interface Advisory {
  readonly id: string
  /** The first affected release; earlier ones are not. Absent if all are. */
  readonly since?: string
  /** Releases of Nix. A branch without one has no fix; branches after the last one have it. */
  readonly nix: readonly string[]
  /** Releases of Lix; absent if Lix is not affected. */
  readonly lix?: readonly string[]
  /** Releases of Determinate Nix; absent if unknown. */
  readonly determinate?: readonly string[]
}

/** Day of the last comparison with https://github.com/NixOS/nix/security/advisories. */
export const advisoriesAsOf = '2026-11-28'

/** Advisories by which a user of the daemon can become root or change the store. Newest first; add a new one at the top. */
export const advisories: readonly Advisory[] = [
  {
    id: 'GHSA-vh5x-56v6-4368',
    nix: ['2.28.8', '2.30.6', '2.31.6', '2.34.9', '2.35.3'],
    lix: ['2.95.4'],
    determinate: ['3.23.2'],
  },
  {
    // Symbolic links while the output of a fixed-output derivation is registered
    id: 'GHSA-g3g9-5vj6-r3gj',
    since: '2.18.2',
    nix: ['2.28.6', '2.29.3', '2.30.4', '2.31.4', '2.32.7', '2.33.4', '2.34.5'],
  },
]

/** The version of Determinate Nix in `nix (Determinate Nix 3.6.0) 2.29.0`; null for other vendors. */
export const determinateVersion = (versionLine: string): string | null =>
  /\(Determinate Nix (\d{1,4}\.\d{1,4}\.\d{1,4})\)/.exec(
    versionLine.slice(0, 200),
  )?.[1] ?? null

/**
 * Returns the advisories that apply to a release, newest first. The number alone decides: a distribution that patches without
 * a new number is not recognized. `determinate` is the version of Determinate Nix, if it is that.
 */
export const advisoriesFor = (
  version: string | null,
  determinate: string | null = null,
): readonly Advisory[] =>
  version === null
    ? []
    : advisories.filter(advisory => {
        if (determinate !== null)
          return advisory.determinate
            ? !isFixed(determinate, advisory.determinate)
            : false
        if (isLix(version)) return advisory.lix ? !isFixed(version, advisory.lix) : false
        const isAffected = advisory.since === undefined || isFrom(version, advisory.since)
        return isAffected && !isFixed(version, advisory.nix)
      })

const numbers = (release: string): readonly [number, number, number] => {
  const [major = 0, minor = 0, patch = 0] = release.split('.').map(Number)
  return [major, minor, patch]
}

const isFrom = (version: string, release: string): boolean =>
  atLeast(version, ...numbers(release))

/** A release has the fix from the first fixed one of its branch on, and in every branch after the last one. */
const isFixed = (version: string, fixed: readonly string[]): boolean =>
  fixed.some((release, i) => {
    const [major, minor] = numbers(release)
    const isLast = i === fixed.length - 1
    return isFrom(version, release) && (isLast || !atLeast(version, major, minor + 1))
  })
