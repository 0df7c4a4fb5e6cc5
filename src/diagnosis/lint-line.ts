import type { HostKeySeen } from '../model.ts'
import { rewrite } from '../nix/edit-machine-line.ts'
import { isReachedBySsh, isSshScheme } from '../nix/store-uri.ts'
import type { BuilderFinding, LintContext } from './lint.ts'
import { placeOf } from './lint-list.ts'

/** Rules about how a machine line is written. */
export const lintLine = (context: LintContext): readonly BuilderFinding[] =>
  rules.flatMap(rule => rule(context) ?? [])

type Rule = (context: LintContext) => BuilderFinding | null

const unpinned: Rule = ({ builder, state }) => {
  if (builder.publicHostKey || builder.params['base64-ssh-public-host-key']) return null
  if (!isReachedBySsh(builder)) return null
  const outcome = state.probes.login?.lastGood?.outcome
  const seen = outcome && 'value' in outcome ? outcome.value?.hostKey : null
  // Only a key that was verified may be offered: pinning what anybody shows would pin an attacker
  if (!seen || seen.verifiedBy === 'nothing' || seen.verifiedBy === 'pinned') return null
  // Nix files a pinned key under the host of the URI; ssh looks for the name it resolved
  if (seen.knownAs !== builder.host?.toLowerCase()) return null
  return {
    rule: 'host_key_unpinned',
    message: `the host key is not pinned; it is verified by ${seen.verifiedBy} now: ${seen.type} ${seen.fingerprint} (${placeOf(builder)})`,
    fix: rewrite(builder, { 8: base64Line(seen) }),
  }
}

const base64Line = ({ type, blob }: HostKeySeen): string =>
  Buffer.from(`${type} ${blob}\n`).toString('base64')

/** ssh looks a pinned key up by the resolved host name, Nix wrote it for the name in the URI. */
const alias: Rule = ({ builder, state }) => {
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

const portIgnored: Rule = ({ builder, flavour }) => {
  if (!isSshScheme(builder.scheme) || flavour.authorities || flavour.version === null)
    return null
  const port = /^[a-z-]+:\/\/(?:[^@/?]*@)?(?:\[[^\]]*\]|[^:/?[\]]+):(\d+)(?:[/?]|$)/.exec(
    builder.storeUri,
  )?.[1]
  if (port === undefined) return null
  const bare = builder.storeUri.replace(`:${port}`, '')
  const joint = bare.includes('?') ? '&' : '?'
  return {
    rule: 'port_ignored',
    message: flavour.lix
      ? `Lix ${flavour.version} knows no port after the host (${placeOf(builder)})`
      : `Nix ${flavour.version} takes :${port} for a part of the host name; name the port in root's ~/.ssh/config (Host ${builder.host}, Port ${port}) and here only the host (${placeOf(builder)})`,
    fix: rewrite(builder, { 1: flavour.lix ? `${bare}${joint}port=${port}` : bare }),
  }
}

const noSlots: Rule = ({ builder, state }) => {
  if (builder.maxJobs !== 0) return null
  const outcome = state.probes.system?.lastGood?.outcome
  const told = outcome && 'value' in outcome ? outcome.value?.maxJobs : null
  return {
    rule: 'max_jobs_zero',
    message: `maxJobs 0 does not drain a builder: builds that only it could take wait for ever; take the line out, or give it slots (${placeOf(builder)})`,
    fix: rewrite(builder, { 4: String(told || 1) }),
  }
}

/** `host/x` names a directory here, and Nix builds into it. */
const slashInHost: Rule = ({ builder }) => {
  if (builder.scheme !== 'local' || builder.storeUri.includes('://')) return null
  const [host = ''] = builder.storeUri.split('/')
  if (!/^[\w@][\w@.-]*$/.test(host) || host.startsWith('.')) return null
  return {
    rule: 'slash_in_host',
    message: `without a scheme, ${builder.storeUri} is a local directory, not a host (${placeOf(builder)})`,
    fix: rewrite(builder, { 1: `ssh-ng://${host}` }),
  }
}

/** Before 2.31 all that stands between `//` and `?` goes to ssh as the host name. */
const pathAfterHost: Rule = ({ builder, flavour }) => {
  if (!isSshScheme(builder.scheme)) return null
  const found = /^([a-z-]+:\/\/[^/?]+)\/[^?]*(.*)$/.exec(builder.storeUri)
  if (!found) return null
  return {
    rule: 'slash_in_host',
    message: flavour.authorities
      ? `a path after the host is no part of a store URI (${placeOf(builder)})`
      : `Nix ${flavour.version ?? ''} takes the path for a part of the host name (${placeOf(builder)})`,
    fix: rewrite(builder, { 1: `${found[1]}${found[2]}` }),
  }
}

const rules: readonly Rule[] = [
  unpinned,
  alias,
  portIgnored,
  noSlots,
  slashInHost,
  pathAfterHost,
]
