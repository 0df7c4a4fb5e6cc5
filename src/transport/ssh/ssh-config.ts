import { userInfo } from 'node:os'
import type { Outcome, Run } from '../../model/index.ts'
import { localTrouble } from '../../diagnosis/local-trouble.ts'
import { oneLine } from '../../text/truncate.ts'
import { describeConfigError } from './options/config-error.ts'
import type { SshOptions } from './options/option-rules.ts'
import type { SshCommand } from './ssh-command.ts'

/** ssh's configuration for a destination, from `ssh -G` (ssh_config(5)). Lists are in ssh's order. */
export interface SshTarget {
  readonly user: string
  /** The name or address that ssh connects to. */
  readonly hostname: string
  readonly port: number
  readonly identityFiles: readonly string[]
  readonly certificateFiles: readonly string[]
  /** True if ssh uses only those agent keys that are also identity files. */
  readonly identitiesOnly: boolean
  /** Path of an agent socket, or null for none. */
  readonly agent: string | null
  readonly userKnownHosts: readonly string[]
  readonly globalKnownHosts: readonly string[]
  readonly hostKeyAlias: string | null
  readonly strict: 'yes' | 'ask' | 'accept-new' | 'no'
  readonly proxyJump: string | null
  /** With unexpanded ssh tokens. */
  readonly proxyCommand: string | null
  /** 4, 6 or 0 for both. */
  readonly family: 0 | 4 | 6
  /** Seconds, null when not set. */
  readonly connectTimeout: number | null
  /** Seconds between keepalives, null for none. Absent where ssh did not print it (the demo). */
  readonly serverAliveInterval?: number | null
  /** Every option. Absent where ssh did not print them (the demo). */
  readonly options?: SshOptions
}

type ResolvedTarget = Extract<Outcome<SshTarget>, { status: 'ok' | 'failed' | 'skipped' }>

/** Runs `ssh -G`, so that aliases, Include, Match and all defaults apply as for Nix. */
export const resolveTarget = async (
  command: Pick<SshCommand, 'destination' | 'options'>,
  run: Run,
  env: Readonly<Record<string, string | undefined>>,
  signal: AbortSignal,
): Promise<ResolvedTarget> => {
  // Nix runs a command, which Match and ForkAfterAuthentication see; with RemoteCommand ssh -G accepts none
  const printed = await printOptions(command, ['true'], run, env, signal)
  const result = /Cannot execute command-line and remote command/.test(printed.stderr)
    ? await printOptions(command, [], run, env, signal)
    : printed
  if (result.spawnError === 'ENOENT')
    return { status: 'failed', kind: 'ssh_missing', params: {} }
  const trouble = localTrouble(result.spawnError)
  if (trouble) return trouble
  if (result.code !== 0)
    return {
      status: 'failed',
      ...(result.aborted
        ? {
            kind: 'internal' as const,
            params: { detail: oneLine(result.spawnError ?? 'ssh -G did not end') },
          }
        : describeConfigError(result.stderr || (result.spawnError ?? ''))),
      evidence: result.stderr,
    }
  const target = parseTarget(result.stdout, env)
  return target.hostname
    ? { status: 'ok', value: target }
    : {
        status: 'failed',
        ...describeConfigError('ssh -G printed no host name'),
      }
}

const printOptions = (
  command: Pick<SshCommand, 'destination' | 'options'>,
  remoteCommand: readonly string[],
  run: Run,
  env: Readonly<Record<string, string | undefined>>,
  signal: AbortSignal,
) =>
  run({
    file: 'ssh',
    // The destination comes first, as Nix writes it: a word that is no option starts the remote command
    args: ['-G', command.destination, ...command.options, '--', ...remoteCommand],
    env,
    signal,
  })

/** Returns ssh's own defaults; null if ssh does not print them. */
export const readDefaultOptions = async (
  run: Run,
  env: Readonly<Record<string, string | undefined>>,
  signal: AbortSignal,
): Promise<SshOptions | null> => {
  const command = { destination: 'default', options: ['-F', 'none'] }
  const { code, stdout } = await printOptions(command, ['true'], run, env, signal)
  return code === 0 ? parseOptions(stdout) : null
}

const parseOptions = (text: string): SshOptions => {
  const options = new Map<string, string[]>()
  for (const line of text.split('\n')) {
    const space = line.indexOf(' ')
    if (space < 0) continue
    const key = line.slice(0, space).toLowerCase()
    options.set(key, [...(options.get(key) ?? []), line.slice(space + 1).trim()])
  }
  return options
}

/** Parses the output of `ssh -G`. Ignores unknown lines. */
export const parseTarget = (
  text: string,
  env: Readonly<Record<string, string | undefined>>,
): SshTarget => {
  const options = parseOptions(text)
  const firstValue = (key: string): string | null => options.get(key)?.[0] ?? null
  const notNone = (value: string | null): string | null =>
    value === null || value.toLowerCase() === 'none' ? null : value
  const files = (key: string): string[] =>
    (firstValue(key) ?? '').split(/\s+/).filter(Boolean).map(expandHome)
  const strict = firstValue('stricthostkeychecking') ?? 'ask'
  const family = firstValue('addressfamily')
  const positive = (key: string): number | null => {
    const seconds = Number(firstValue(key) ?? NaN)
    return Number.isFinite(seconds) && seconds > 0 ? seconds : null
  }
  return {
    user: firstValue('user') ?? 'root',
    hostname: firstValue('hostname') ?? '',
    port: Number(firstValue('port') ?? 22),
    identityFiles: (options.get('identityfile') ?? []).map(expandHome),
    certificateFiles: (options.get('certificatefile') ?? []).map(expandHome),
    identitiesOnly: firstValue('identitiesonly') === 'yes',
    agent: agentSocket(firstValue('identityagent'), env),
    userKnownHosts: files('userknownhostsfile'),
    globalKnownHosts: files('globalknownhostsfile'),
    hostKeyAlias: notNone(firstValue('hostkeyalias')),
    strict:
      strict === 'true' || strict === 'yes'
        ? 'yes'
        : strict === 'accept-new'
          ? 'accept-new'
          : strict === 'false' || strict === 'no' || strict === 'off'
            ? 'no'
            : 'ask',
    proxyJump: notNone(firstValue('proxyjump')),
    proxyCommand: notNone(firstValue('proxycommand')),
    family: family === 'inet' ? 4 : family === 'inet6' ? 6 : 0,
    connectTimeout: positive('connecttimeout'),
    serverAliveInterval: positive('serveraliveinterval'),
    options,
  }
}

const agentSocket = (
  option: string | null,
  env: Readonly<Record<string, string | undefined>>,
): string | null => {
  if (option === null || option === 'SSH_AUTH_SOCK') return env['SSH_AUTH_SOCK'] || null
  if (option.toLowerCase() === 'none') return null
  return option.startsWith('$') ? env[option.slice(1)] || null : expandHome(option)
}

/** Expands `~` as ssh does: from the passwd database, not from HOME. */
const expandHome = (path: string): string =>
  path === '~' || path.startsWith('~/') ? userInfo().homedir + path.slice(1) : path
