import type { Kind } from '../../../model/index.ts'
import type { DialContext, DialResult, PreparedLogin } from '../prepare-login.ts'
import { connectTcp } from '../tcp-connect.ts'
import { findOptionOrigin, type OptionOrigin } from './option-origin.ts'

const defaultPort = 22
const connectMs = 3000

type AddressOption = 'Port' | 'HostName' | 'AddressFamily' | 'ProxyJump' | 'User'

const path: readonly AddressOption[] = ['Port', 'HostName', 'AddressFamily', 'ProxyJump']
const server: readonly AddressOption[] = ['Port', 'HostName', 'ProxyJump']

/** Options that can lead to a failure: they change where the login goes, or who logs in. */
const optionsByKind: Readonly<Partial<Record<Kind, readonly AddressOption[]>>> = {
  dns: ['HostName', 'AddressFamily', 'ProxyJump'],
  tcp_refused: path,
  tcp_timeout: path,
  tcp_unreachable: path,
  not_ssh: server,
  banner_timeout: server,
  auth_denied: ['User', ...server],
}

/** Kinds for which an answer at the address of the machine line shows that the option is the cause. */
const provable: ReadonlySet<Kind> = new Set<Kind>([
  'dns',
  'tcp_refused',
  'tcp_timeout',
  'tcp_unreachable',
])

/**
 * Names the option of ssh's configuration that makes a failed login differ from the machine line. It is the cause where
 * the address without it accepts a connection; otherwise it is mentioned beside the cause.
 */
export const explainChangedAddress = async (
  result: DialResult,
  login: PreparedLogin,
  { deps: { run, env }, signal, trace }: DialContext,
): Promise<DialResult> => {
  const { outcome } = result
  const { target, command, builder } = login
  if (outcome.status !== 'failed' || outcome.params['jump']) return result
  let mention: Record<string, string> | null = null
  for (const option of optionsByKind[outcome.kind] ?? []) {
    const value = changedValue(option, login)
    if (value === null) continue
    const sources = { command, run, env, signal: AbortSignal.timeout(connectMs) }
    const origin = await findOptionOrigin(option, value, sources).catch(() => null)
    if (!origin) continue
    trace('changed by ssh_config', `${option} ${value} (${origin.where})`)
    const params = { ...outcome.params, ...placeOf(origin) }
    const host = option === 'HostName' ? (builder.host ?? '') : target.hostname
    const port = option === 'Port' ? defaultPort : target.port
    const isVerified =
      provable.has(outcome.kind) &&
      option !== 'ProxyJump' &&
      target.proxyJump === null &&
      target.proxyCommand === null &&
      (await accepts(host, port, option === 'AddressFamily' ? 0 : target.family, signal))
    if (isVerified) {
      const detail = `${host} port ${port} accepts connections`
      const fault = {
        kind: 'ssh_option' as const,
        params: { ...params, option, value, detail },
      }
      return { ...result, outcome: { ...outcome, ...fault } }
    }
    mention ??= {
      changedBy: origin.where === 'NIX_SSHOPTS' ? origin.value : `${option} ${value}`,
      changedAt: origin.where,
    }
  }
  return mention
    ? { ...result, outcome: { ...outcome, params: { ...outcome.params, ...mention } } }
    : result
}

/** The value of an option that differs from what the machine line and ssh's defaults say; null if it does not. */
const changedValue = (
  option: AddressOption,
  { target, builder }: PreparedLogin,
): string | null => {
  switch (option) {
    case 'Port':
      return builder.port === null && target.port !== defaultPort
        ? String(target.port)
        : null
    case 'HostName':
      return target.hostname.toLowerCase() === builder.host?.toLowerCase()
        ? null
        : target.hostname
    case 'AddressFamily':
      return target.family === 0 ? null : target.family === 4 ? 'inet' : 'inet6'
    case 'ProxyJump':
      return target.proxyJump
    case 'User':
      return builder.user === null ? target.user : null
  }
}

const placeOf = ({ where, file, line }: OptionOrigin): Record<string, string> => ({
  where,
  ...(file === undefined ? {} : { file }),
  ...(line === undefined ? {} : { line: String(line) }),
})

const accepts = async (
  host: string,
  port: number,
  family: 0 | 4 | 6,
  signal: AbortSignal,
): Promise<boolean> => {
  if (!host) return false
  const deadline = AbortSignal.any([signal, AbortSignal.timeout(connectMs)])
  const result = await connectTcp(host, port, family, connectMs, deadline)
  if (result.ok) result.socket.destroy()
  return result.ok
}
