import { createHash } from 'node:crypto'
import { classify } from '../../../diagnosis/classify.ts'
import type { Builder, Kind, Params, Remote } from '../../../model/index.ts'
import { oneLine, truncateEvidence } from '../../../text/truncate.ts'
import type { DialContext, PreparedLogin } from '../prepare-login.ts'
import { readDefaultOptions } from '../ssh-config.ts'
import { typeOfPrivateKey } from '../ssh2.ts'
import { handshakeAsNix, handshakeOver } from './handshake.ts'
import { readOptionFacts } from './option-facts.ts'
import {
  findOptionOrigin,
  type OptionOrigin,
  type OriginSources,
} from './option-origin.ts'
import type { OptionStage, SshOptions } from './option-rules.ts'
import { parseSshWords } from './ssh-words.ts'
import { findRiskyOptions, type RiskyOption } from './risky-options.ts'

/** An option of ssh that stops builds, as a failure of the login or a warning about it. */
export interface OptionFault {
  readonly kind: Kind
  readonly params: Params
  readonly evidence?: string
}

/** How long the result of a handshake is used: one that worked, and one that was a failed login, which sshd penalizes. */
const workedMs = 3_600_000
const deniedMs = 600_000

interface CachedFault {
  readonly until: number
  readonly fault: OptionFault | null
}

/** Finds options of ssh that stop Nix's use of ssh but not our login. */
export interface OptionCheck {
  /** Returns the options that may stop builds. */
  risky(login: PreparedLogin, context: DialContext): Promise<readonly RiskyOption[]>
  /** After a successful login: a handshake with ssh as Nix runs it. Returns the fault, or null where builds work. */
  verify(
    login: PreparedLogin,
    risky: readonly RiskyOption[],
    remote: Remote,
    context: DialContext,
  ): Promise<OptionFault | null>
}

export const createOptionCheck = (): OptionCheck => {
  const cache = new Map<string, CachedFault>()
  let defaults: { readonly until: number; readonly options: SshOptions | null } | null =
    null

  const defaultsOf = async ({
    deps,
    signal,
  }: DialContext): Promise<SshOptions | null> => {
    const now = deps.clock.monotonic()
    if (!defaults || defaults.until < now)
      defaults = {
        until: now + workedMs,
        options: await readDefaultOptions(deps.run, deps.env, signal),
      }
    return defaults.options
  }

  return {
    risky: async (login, context) => {
      const { target, command, identities } = login
      if (!target.options) return []
      const facts = await readOptionFacts(
        target.options,
        context.deps.nix().version,
        identities.usable.flatMap(({ key }) => typeOfPrivateKey(key) ?? []),
      )
      const words = parseSshWords(command.nixSshOpts)
      return findRiskyOptions(target.options, await defaultsOf(context), words, facts)
    },

    verify: async (login, risky, remote, context) => {
      const checked = risky.filter(({ rule }) => rule?.isOverridden !== true)
      if (checked.length === 0) return null
      const now = context.deps.clock.monotonic()
      const key = fingerprint(login)
      const known = cache.get(key)
      if (known && known.until > now) return known.fault
      for (const [name, { until }] of cache) if (until <= now) cache.delete(name)
      const fault = await tryHandshakes(login, checked, remote, context)
      const isDenied =
        fault !== 'unknown' && /Permission denied/.test(fault?.evidence ?? '')
      if (fault === null) cache.set(key, { until: now + workedMs, fault })
      else if (isDenied) cache.set(key, { until: now + deniedMs, fault })
      return fault === 'unknown' ? null : fault
    },
  }
}

const fingerprint = ({ builder, target, command }: PreparedLogin): string =>
  createHash('sha256')
    .update(JSON.stringify([builder.line, command, [...(target.options ?? [])]]))
    .digest('hex')

/** Returns the fault; null where the handshake works; `unknown` where the builder itself does not answer. */
const tryHandshakes = async (
  login: PreparedLogin,
  risky: readonly RiskyOption[],
  remote: Remote,
  { deps, signal, trace }: DialContext,
): Promise<OptionFault | null | 'unknown'> => {
  const { builder, command, pinnedLine, target } = login
  const { env } = deps
  const asNix = await handshakeAsNix({
    builder,
    command,
    pinnedLine,
    options: target.options ?? null,
    nix: deps.nix(),
    env,
    signal,
  })
  trace(`handshake with ssh as Nix runs it: ${asNix.status}`, asNix.stderr)
  if (asNix.status === 'ok') return null
  const control = await handshakeOver(remote, builder, signal).catch(() => null)
  trace(`handshake over our connection: ${control?.status ?? 'no channel'}`)
  if (control?.status !== 'ok') return 'unknown'
  const responsible = chooseOption(risky, asNix.stderr)
  // Only slow, unless an option is known to hang
  if (asNix.status === 'timeout' && responsible?.rule?.isCertain !== true)
    return 'unknown'
  const classified = classify(asNix.stderr)
  if (classified?.kind === 'host_key_revoked')
    return { kind: 'host_key_revoked', params: classified.params }
  if (!responsible) return 'unknown'
  return toFault(responsible, builder, asNix.stderr, {
    command,
    run: deps.run,
    env,
    signal,
  })
}

/** Creates the fault of an option, with the place where it is set. */
export const toFault = async (
  riskyOption: RiskyOption,
  builder: Builder,
  stderr: string,
  sources: OriginSources,
): Promise<OptionFault> => {
  const { option, value, effect, rule, word } = riskyOption
  const printed = classify(stderr)?.line ?? stderr.trim().split('\n').at(-1) ?? ''
  const place =
    word === undefined
      ? originParams(option, await findOptionOrigin(option, value, sources))
      : { where: 'NIX_SSHOPTS', value: '-' }
  return {
    kind: 'ssh_option',
    params: {
      option,
      value: shownValue(option, value),
      ...place,
      detail: effect ?? oneLine(printed),
      ...(rule?.use ? { use: rule.use } : {}),
      ...(builder.host === null ? {} : { host: builder.host }),
    },
    ...(stderr.trim() ? { evidence: truncateEvidence(stderr) } : {}),
  }
}

/** Adds the place of the option to a fault that only names it. */
export const withOrigin = async (
  fault: OptionFault,
  sources: OriginSources,
): Promise<OptionFault> => {
  const { option, where, value = '' } = fault.params
  if (fault.kind !== 'ssh_option' || option === undefined || where !== undefined)
    return fault
  const origin = await findOptionOrigin(option, value, sources)
  return { ...fault, params: { ...fault.params, ...originParams(option, origin) } }
}

/** Options whose values are commands and can contain secrets. */
const commands = /^(?:Proxy|KnownHosts|Local|Remote)Command$|^SetEnv$/i

const shownValue = (option: string, value: string): string =>
  commands.test(option) ? '-' : oneLine(value, 60) || '-'

const originParams = (option: string, origin: OptionOrigin | null): Params => ({
  where: origin?.where ?? "ssh's configuration",
  ...(origin ? { value: shownValue(option, origin.value) } : {}),
  ...(origin?.file === undefined || origin.line === undefined
    ? {}
    : { file: origin.file, line: String(origin.line) }),
})

/** Text of ssh that names the option (kex.c, sshconnect.c, sshkey.c, hostfile.c). */
const optionByText: readonly (readonly [pattern: RegExp, option: string])[] = [
  [/no matching cipher found/, 'Ciphers'],
  [/no matching MAC found/, 'MACs'],
  [/no matching key exchange method found/, 'KexAlgorithms'],
  [/no matching host key type found/, 'HostKeyAlgorithms'],
  [/in revoked keys file|revoked by file/, 'RevokedHostKeys'],
  [/KnownHostsCommand/, 'KnownHostsCommand'],
  [/getifaddrs: /, 'BindInterface'],
  [/^bind \S+: /m, 'BindAddress'],
  [/proxy dialer did not|mm_receive_fd/, 'ProxyUseFdpass'],
  [/Cannot execute command-line and remote command/, 'RemoteCommand'],
  [/subsystem request failed/, 'SessionType'],
  [/Invalid key length/, 'RequiredRSASize'],
]

const stageByText: readonly (readonly [pattern: RegExp, stage: OptionStage])[] = [
  [/Permission denied \(|Too many authentication failures/, 'auth'],
  [/Host key verification failed|No \S+ host key is known/, 'host_key'],
  [/connect to host \S+ port /, 'connect'],
]

/** Chooses the option that explains the output of ssh: the one that it names, or one of the stage that failed. */
export const chooseOption = (
  risky: readonly RiskyOption[],
  stderr: string,
): RiskyOption | undefined => {
  const text = stderr.slice(0, 64 * 1024)
  const option = optionByText.find(([pattern]) => pattern.test(text))?.[1]
  const named = risky.find(each => each.option === option)
  if (named) return named
  const stage = stageByText.find(([pattern]) => pattern.test(text))?.[1] ?? 'session'
  const atStage = risky.filter(({ rule }) => rule?.stage === stage)
  return (
    atStage.find(({ rule }) => rule?.isCertain) ??
    atStage[0] ??
    risky.find(({ rule }) => rule === null) ??
    (risky.length === 1 ? risky[0] : undefined)
  )
}
