import type { HostKeyInfo } from '../../model/index.ts'
import { editMachine } from '../../nix/machines/edit-machine-line.ts'
import { examinePinnedKey } from '../../nix/machines/pinned-key.ts'
import { isReachedBySsh, isSshScheme } from '../../nix/machines/store-uri.ts'
import {
  formatOrigin,
  type BuilderFinding,
  type LintContext,
  type LintRule,
} from './rule.ts'

/** Checks how a machine line is written. */
export const lintLine = (context: LintContext): readonly BuilderFinding[] =>
  rules.flatMap(rule => rule(context) ?? [])

const unpinnedHostKey: LintRule = ({ builder, state }) => {
  if (builder.publicHostKey || builder.params['base64-ssh-public-host-key']) return null
  if (!isReachedBySsh(builder)) return null
  const outcome = state.probes.login?.lastSuccess?.outcome
  const hostKey = outcome && 'value' in outcome ? outcome.value?.hostKey : null
  // Suggests only a verified key, because another one could be an attacker's
  if (!hostKey || hostKey.verifiedBy === 'none' || hostKey.verifiedBy === 'pinned')
    return null
  // Nix stores a pinned key under the host of the URI; ssh looks it up by the resolved name
  if (hostKey.hostKeyName !== builder.host?.toLowerCase()) return null
  return {
    rule: 'host_key_unpinned',
    message: `the host key is not pinned, only verified by ${hostKey.verifiedBy}: ${hostKey.type} ${hostKey.fingerprint} (${formatOrigin(builder)})`,
    fix: editMachine(builder, { 8: base64Line(hostKey) }),
  }
}

const base64Line = ({ type, blob }: HostKeyInfo): string =>
  Buffer.from(`${type} ${blob}\n`).toString('base64')

/** ssh looks up a pinned key by the resolved host name; Nix stores it for the name in the URI. */
const hostKeyAlias: LintRule = ({ builder, state }) => {
  const outcome = state.probes.login?.conclusive?.outcome
  if (!builder.publicHostKey || builder.host === null) return null
  if (outcome?.status !== 'failed' || outcome.kind !== 'host_key_unknown') return null
  const { knownAs, detail = '' } = outcome.params
  if (!knownAs || !detail.startsWith('field 8 pins a key for ')) return null
  return {
    rule: 'host_key_alias',
    message: `${builder.host} is an alias of ${knownAs} in ssh_config, where the key pinned for ${builder.host} is not found; add to root's ~/.ssh/config`,
    fix: `Host ${builder.host}\n  HostKeyAlias ${builder.host}`,
  }
}

/** What is no public key is ignored, and the host key is not pinned. */
const invalidPin: LintRule = ({ builder }) => {
  if (builder.publicHostKey === null) return null
  const pin = examinePinnedKey(builder.publicHostKey)
  if (pin.isValid) return null
  return {
    rule: 'pinned_key_invalid',
    message: `field 8 is no public host key, so it pins nothing: ${pin.what} (${formatOrigin(builder)})${pin.corrected === null ? '; make it on the builder with base64 -w0 /etc/ssh/ssh_host_ed25519_key.pub' : ''}`,
    fix: editMachine(builder, { 8: pin.corrected ?? '-' }),
  }
}

const portIgnored: LintRule = ({ builder, dialect }) => {
  if (!isSshScheme(builder.scheme) || dialect.authorities || dialect.version === null)
    return null
  const port = /^[a-z-]+:\/\/(?:[^@/?]*@)?(?:\[[^\]]*\]|[^:/?[\]]+):(\d+)(?:[/?]|$)/.exec(
    builder.storeUri,
  )?.[1]
  if (port === undefined) return null
  const uriWithoutPort = builder.storeUri.replace(`:${port}`, '')
  const separator = uriWithoutPort.includes('?') ? '&' : '?'
  return {
    rule: 'port_ignored',
    message: dialect.lix
      ? `Lix ${dialect.version} does not support a port after the host (${formatOrigin(builder)})`
      : `Nix ${dialect.version} reads :${port} as part of the host name; set the port in root's ~/.ssh/config (Host ${builder.host}, Port ${port}) and remove it here (${formatOrigin(builder)})`,
    fix: editMachine(builder, {
      1: dialect.lix ? `${uriWithoutPort}${separator}port=${port}` : uriWithoutPort,
    }),
  }
}

const zeroSlots: LintRule = ({ builder, state }) => {
  if (builder.maxJobs !== 0) return null
  const outcome = state.probes.system?.lastSuccess?.outcome
  const remoteMaxJobs = outcome && 'value' in outcome ? outcome.value?.maxJobs : null
  return {
    rule: 'max_jobs_zero',
    message: `maxJobs 0 does not drain a builder: builds that only this builder supports wait forever; remove the line, or set slots (${formatOrigin(builder)})`,
    fix: editMachine(builder, { 4: String(remoteMaxJobs || 1) }),
  }
}

/** `host/x` is a local directory, and Nix builds into it. */
const pathInsteadOfHost: LintRule = ({ builder }) => {
  if (builder.scheme !== 'local' || builder.storeUri.includes('://')) return null
  const [host = ''] = builder.storeUri.split('/')
  if (!/^[\w@][\w@.-]*$/.test(host) || host.startsWith('.')) return null
  return {
    rule: 'slash_in_host',
    message: `without a scheme, ${builder.storeUri} is a local directory, not a host (${formatOrigin(builder)})`,
    fix: editMachine(builder, { 1: `ssh-ng://${host}` }),
  }
}

/** Before 2.31 Nix passes everything between `//` and `?` to ssh as the host name. */
const pathAfterHost: LintRule = ({ builder, dialect }) => {
  if (!isSshScheme(builder.scheme)) return null
  const match = /^([a-z-]+:\/\/[^/?]+)\/[^?]*((?:\?.*)?)$/.exec(builder.storeUri)
  if (!match) return null
  return {
    rule: 'slash_in_host',
    message: dialect.authorities
      ? `a path after the host is not valid in a store URI (${formatOrigin(builder)})`
      : `Nix ${dialect.version ?? ''} reads the path as part of the host name (${formatOrigin(builder)})`,
    fix: editMachine(builder, { 1: `${match[1]}${match[2]}` }),
  }
}

const rules: readonly LintRule[] = [
  unpinnedHostKey,
  hostKeyAlias,
  invalidPin,
  portIgnored,
  zeroSlots,
  pathInsteadOfHost,
  pathAfterHost,
]
