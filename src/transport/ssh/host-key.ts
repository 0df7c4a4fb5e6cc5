import type { HostKeyInfo, Kind, Params } from '../../model/index.ts'
import {
  fingerprintOf,
  keyTypeOf,
  lookupNames,
  matchesHost,
  type KnownHost,
} from './known-hosts.ts'
import type { PinnedKey } from '../../nix/machines/pinned-key.ts'
import type { SshTarget } from './ssh-config.ts'

/** Known and pinned host keys of one target. */
export interface HostKeyPolicy {
  /** Lines that match this host, without the pinned ones. */
  readonly known: readonly KnownHost[]
  readonly pinned: readonly KnownHost[]
  readonly names: readonly string[]
  readonly strict: SshTarget['strict']
  /** Name for which the machine line pins a key, to explain a name that ssh does not look up. */
  readonly pinnedHostName: string | null
  /** Why the key that the machine line pins is no public key; null if it is one, or there is none. */
  readonly invalidPin: Exclude<PinnedKey, { readonly isValid: true }> | null
}

export type HostKeyCheck =
  | { readonly accepted: true; readonly hostKey: HostKeyInfo }
  | {
      readonly accepted: false
      readonly hostKey: HostKeyInfo
      readonly kind: Kind
      readonly params: Params
    }

/** Collects the lines that ssh reads. With a pinned key Nix replaces the user's files, never the global ones. */
export const hostKeyPolicy = (
  target: SshTarget,
  pinned: {
    readonly lines: readonly KnownHost[]
    readonly hostName: string
    readonly key: PinnedKey
  } | null,
  files: { readonly user: readonly KnownHost[]; readonly global: readonly KnownHost[] },
): HostKeyPolicy => {
  const names = lookupNames(target.hostKeyAlias ?? target.hostname, target.port)
  const matchesTarget = (entry: KnownHost) => names.some(name => matchesHost(entry, name))
  const matching = (pinned ? files.global : [...files.user, ...files.global]).filter(
    matchesTarget,
  )
  // ssh looks up the bare name only if [host]:port has no key at all (sshconnect.c check_host_key)
  const exact = matching.filter(entry => matchesHost(entry, names[0] ?? ''))
  const hasExact = exact.some(entry => entry.marker === null)
  return {
    names,
    strict: target.strict,
    pinned: (pinned?.lines ?? []).filter(matchesTarget),
    pinnedHostName: pinned?.hostName ?? null,
    invalidPin: pinned && !pinned.key.isValid ? pinned.key : null,
    known: hasExact
      ? [...exact, ...matching.filter(entry => entry.marker === 'revoked')]
      : matching,
  }
}

/** Returns the types of known host keys, so that the server is asked for a comparable one. */
export const knownTypes = (policy: HostKeyPolicy): string[] => [
  ...new Set(
    [...policy.pinned, ...policy.known].filter(k => k.marker === null).map(k => k.type),
  ),
]

/** Whether the host can be verified only by a host certificate, which OpenSSH supports and ssh2 does not. */
export const needsCertificate = (policy: HostKeyPolicy): boolean =>
  policy.known.some(entry => entry.marker === 'cert-authority') &&
  !policy.known.some(entry => entry.marker === null) &&
  policy.pinned.length === 0

/** Verifies the server's host key as ssh does before it prompts (sshconnect.c check_host_key). */
export const verifyHostKey = (policy: HostKeyPolicy, blob: string): HostKeyCheck => {
  const type = keyTypeOf(blob) ?? 'unknown'
  const hostKey: HostKeyInfo = {
    type,
    blob,
    fingerprint: fingerprintOf(blob),
    // The last name is without the port
    hostKeyName: policy.names.at(-1) ?? '',
    verifiedBy: 'none',
  }
  const shownText = `the server has ${type} ${hostKey.fingerprint}`
  const entries = [...policy.pinned, ...policy.known]
  const knownAs = policy.names[0] ?? ''
  const revoked = entries.find(k => k.marker === 'revoked' && k.blob === blob)
  if (revoked)
    return reject(hostKey, 'host_key_revoked', {
      detail: `${shownText}, revoked in ${revoked.file}:${revoked.line}`,
    })
  const plain = (entries: readonly KnownHost[]) => entries.filter(k => k.marker === null)
  if (plain(policy.pinned).some(k => k.blob === blob))
    return { accepted: true, hostKey: { ...hostKey, verifiedBy: 'pinned' } }
  if (plain(policy.known).some(k => k.blob === blob))
    return { accepted: true, hostKey: { ...hostKey, verifiedBy: 'known_hosts' } }
  const other = plain(policy.pinned)[0]
  if (other)
    return reject(hostKey, 'host_key_mismatch', {
      detail: `pinned ${other.type} ${fingerprintOf(other.blob)}, ${shownText}`,
    })
  // A known key of another type is left to OpenSSH, which knows the negotiated type
  const same = plain(policy.known).find(k => k.type === type)
  if (same)
    return reject(hostKey, 'host_key_changed', {
      detail: `${same.file}:${same.line} has ${same.type} ${fingerprintOf(same.blob)}, ${shownText}`,
      knownAs,
      file: same.file,
    })
  if (policy.invalidPin) {
    const { what, corrected, authority } = policy.invalidPin
    return reject(hostKey, 'pinned_key_invalid', {
      detail: `${what}; ${shownText}`,
      ...(corrected === null ? {} : { use: corrected }),
      ...(authority === undefined ? {} : { reason: 'authority', value: authority }),
    })
  }
  if (policy.pinnedHostName !== null)
    return reject(hostKey, 'host_key_unknown', {
      detail: `field 8 pins a key for ${policy.pinnedHostName}, but ssh looks up ${knownAs}: set HostKeyAlias ${policy.pinnedHostName} in ssh_config; ${shownText}`,
      knownAs,
    })
  if (policy.strict === 'no' || policy.strict === 'accept-new')
    return { accepted: true, hostKey }
  return reject(hostKey, 'host_key_unknown', { detail: shownText, knownAs })
}

const reject = (hostKey: HostKeyInfo, kind: Kind, params: Params): HostKeyCheck => ({
  accepted: false,
  hostKey,
  kind,
  params,
})
