import type { HostKeyInfo } from '../../model/index.ts'
import { editMachine } from '../../nix/machines/edit-machine-line.ts'
import { isReachedBySsh, isSshScheme } from '../../nix/machines/store-uri.ts'
import type { BuilderFinding, LintContext } from './lint.ts'
import { formatOrigin } from './list.ts'

/** Rules about how a machine line is written. */
export const lintLine = (context: LintContext): readonly BuilderFinding[] =>
  rules.flatMap(rule => rule(context) ?? [])

type Rule = (context: LintContext) => BuilderFinding | null

const unpinnedHostKey: Rule = ({ builder, state }) => {
  if (builder.publicHostKey || builder.params['base64-ssh-public-host-key']) return null
  if (!isReachedBySsh(builder)) return null
  const outcome = state.probes.login?.lastSuccess?.outcome
  const hostKey = outcome && 'value' in outcome ? outcome.value?.hostKey : null
  // Only a key that was verified may be offered: pinning what anybody shows would pin an attacker
  if (!hostKey || hostKey.verifiedBy === 'none' || hostKey.verifiedBy === 'pinned')
    return null
  // Nix files a pinned key under the host of the URI; ssh looks for the name it resolved
  if (hostKey.hostKeyName !== builder.host?.toLowerCase()) return null
  return {
    rule: 'host_key_unpinned',
    message: `the host key is not pinned; it is verified by ${hostKey.verifiedBy} now: ${hostKey.type} ${hostKey.fingerprint} (${formatOrigin(builder)})`,
    fix: editMachine(builder, { 8: base64Line(hostKey) }),
  }
}

const base64Line = ({ type, blob }: HostKeyInfo): string =>
  Buffer.from(`${type} ${blob}\n`).toString('base64')

/** ssh looks a pinned key up by the resolved host name, Nix wrote it for the name in the URI. */
const hostKeyAlias: Rule = ({ builder, state }) => {
  const outcome = state.probes.login?.conclusive?.outcome
  if (!builder.publicHostKey || builder.host === null) return null
  if (outcome?.status !== 'failed' || outcome.kind !== 'host_key_unknown') return null
  const { knownAs, detail = '' } = outcome.params
  if (!knownAs || !detail.startsWith('field 8 pins a key for ')) return null
  return {
    rule: 'host_key_alias',
    message: `${builder.host} is an alias of ${knownAs} in ssh_config, and the key pinned for ${builder.host} is not found under that name; write into root's ~/.ssh/config`,
    fix: `Host ${builder.host}\n  HostKeyAlias ${builder.host}`,
  }
}

const portIgnored: Rule = ({ builder, dialect }) => {
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
      ? `Lix ${dialect.version} knows no port after the host (${formatOrigin(builder)})`
      : `Nix ${dialect.version} takes :${port} for a part of the host name; name the port in root's ~/.ssh/config (Host ${builder.host}, Port ${port}) and here only the host (${formatOrigin(builder)})`,
    fix: editMachine(builder, {
      1: dialect.lix ? `${uriWithoutPort}${separator}port=${port}` : uriWithoutPort,
    }),
  }
}

const zeroSlots: Rule = ({ builder, state }) => {
  if (builder.maxJobs !== 0) return null
  const outcome = state.probes.system?.lastSuccess?.outcome
  const remoteMaxJobs = outcome && 'value' in outcome ? outcome.value?.maxJobs : null
  return {
    rule: 'max_jobs_zero',
    message: `maxJobs 0 does not drain a builder: builds that only it could take wait for ever; take the line out, or give it slots (${formatOrigin(builder)})`,
    fix: editMachine(builder, { 4: String(remoteMaxJobs || 1) }),
  }
}

/** `host/x` names a directory here, and Nix builds into it. */
const pathInsteadOfHost: Rule = ({ builder }) => {
  if (builder.scheme !== 'local' || builder.storeUri.includes('://')) return null
  const [host = ''] = builder.storeUri.split('/')
  if (!/^[\w@][\w@.-]*$/.test(host) || host.startsWith('.')) return null
  return {
    rule: 'slash_in_host',
    message: `without a scheme, ${builder.storeUri} is a local directory, not a host (${formatOrigin(builder)})`,
    fix: editMachine(builder, { 1: `ssh-ng://${host}` }),
  }
}

/** Before 2.31 all that stands between `//` and `?` goes to ssh as the host name. */
const pathAfterHost: Rule = ({ builder, dialect }) => {
  if (!isSshScheme(builder.scheme)) return null
  const match = /^([a-z-]+:\/\/[^/?]+)\/[^?]*(.*)$/.exec(builder.storeUri)
  if (!match) return null
  return {
    rule: 'slash_in_host',
    message: dialect.authorities
      ? `a path after the host is no part of a store URI (${formatOrigin(builder)})`
      : `Nix ${dialect.version ?? ''} takes the path for a part of the host name (${formatOrigin(builder)})`,
    fix: editMachine(builder, { 1: `${match[1]}${match[2]}` }),
  }
}

const rules: readonly Rule[] = [
  unpinnedHostKey,
  hostKeyAlias,
  portIgnored,
  zeroSlots,
  pathInsteadOfHost,
  pathAfterHost,
]
