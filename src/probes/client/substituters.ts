import type { ClientOutcome, SubstituterAnswer } from '../../model/index.ts'
import { describeErrorCode } from '../../text/error-code.ts'
import { parseBoolean } from '../../nix/settings.ts'
import { oneLine } from '../../text/truncate.ts'
import { outcome, ok, type ClientContext } from './outcome.ts'

/** One request each. More are not asked. */
const maxSubstituters = 10
/** The second one is the answer to a slow cache: it is asked only after the first. */
const timeoutsMs = [3000, 7000]

/** Nix gives up a silent transfer after this time (stalled-download-timeout). */
const stallSeconds = 300
/** curl's own limit, where connect-timeout is 0 (CURLOPT_CONNECTTIMEOUT). */
const curlConnectSeconds = 300
/** Pauses of Nix between five attempts. */
const pauseSeconds = 4
/** A build that waits longer counts as one that hangs. */
const maxWaitSeconds = 60

const proxyVariables = [
  'http_proxy',
  'https_proxy',
  'HTTPS_PROXY',
  'all_proxy',
  'ALL_PROXY',
]

/**
 * Checks whether the substituters answer. Each nix command asks all of them before it builds, and a cache that does not
 * answer makes it wait (13 s with connect-timeout = 2, minutes with the defaults; seen with 2.8 and 2.34).
 */
export const checkSubstituters = async (
  context: ClientContext,
): Promise<ClientOutcome> => {
  const { active, env, localSystem, askSubstituter, signal } = context
  const { settings = {} } = active.nix
  if (active.source === 'demo' || active.nix.version === null || !askSubstituter)
    return outcome('skipped', 'no_local_nix')
  if (parseBoolean(settings['substitute']?.value ?? 'true') === false) return ok
  const urls = (settings['substituters']?.value ?? '').split(/\s+/).flatMap(word => {
    const url = URL.canParse(word) ? new URL(word) : null
    return url && /^(?:https?|ssh|ssh-ng):$/.test(url.protocol) ? [url] : []
  })
  if (urls.length === 0 || !localSystem.hasNetwork()) return ok
  const isSsh = (url: URL): boolean => url.protocol.startsWith('ssh')
  const proxy = proxyVariables.some(name => env[name])
  if (proxy && !urls.some(isSsh))
    return outcome('skipped', 'not_applicable', {
      detail: 'a proxy is set, which builder-monitor does not use',
    })
  const answers = await Promise.all(
    urls
      .filter(url => !proxy || isSsh(url))
      .slice(0, maxSubstituters)
      .map(async url => {
        let answer: SubstituterAnswer = { status: 'answers' }
        for (const timeoutMs of timeoutsMs) {
          answer = await askSubstituter(url, timeoutMs, signal)
          if (answer.status !== 'hangs' || signal.aborted) break
        }
        return { url, answer }
      }),
  )
  const found = answers
    .flatMap(({ url, answer }) => {
      if (answer.status === 'answers' || signal.aborted) return []
      const waitSeconds = waitOf(answer, context)
      const reason =
        answer.status === 'fails'
          ? describeErrorCode(answer.code)
          : answer.isConnected
            ? 'it accepts the connection and sends nothing'
            : 'no connection'
      return [{ url, waitSeconds, reason }]
    })
    .sort((a, b) => b.waitSeconds - a.waitSeconds)
  // Unlike any other one it ends the build ("failed to start SSH connection"; seen with 2.8 and 2.34)
  const fatal = found.find(({ url }) => isSsh(url))
  if (fatal)
    return outcome('failed', 'setting_broken', {
      setting: 'substituters',
      value: withoutSecrets(fatal.url),
      detail: `${withoutSecrets(fatal.url)}: ${fatal.reason}`,
      where: originOf(context),
    })
  const [worst] = found
  if (!worst) return ok
  return outcome(
    worst.waitSeconds > maxWaitSeconds ? 'failed' : 'degraded',
    'substituter_unreachable',
    {
      uri: withoutSecrets(worst.url),
      detail: worst.reason,
      seconds: String(worst.waitSeconds),
      where: originOf(context),
    },
  )
}

/** Without a user, a password and a query. */
const withoutSecrets = (url: URL): string =>
  oneLine(`${url.protocol}//${url.host}${url.pathname}`, 200)

/** Seconds for which a nix command waits, as its settings say. */
const waitOf = (
  answer: Exclude<SubstituterAnswer, { status: 'answers' }>,
  { active }: ClientContext,
): number => {
  const numberOf = (name: string, byDefault: number) => {
    const value = active.nix.settings?.[name]?.value
    return value !== undefined && /^\d{1,9}$/.test(value) ? Number(value) : byDefault
  }
  const attempts = Math.max(1, numberOf('download-attempts', 5))
  if (answer.status === 'fails')
    return Math.round(attempts * answer.seconds) + pauseSeconds
  const limit = answer.isConnected
    ? stallSeconds
    : numberOf('connect-timeout', 0) || curlConnectSeconds
  return attempts * limit + (attempts > 1 ? pauseSeconds : 0)
}

const originOf = ({ active }: ClientContext): string => {
  const origin = active.nix.settings?.['substituters']?.origin
  return origin ? `${origin.file}:${origin.line}` : 'the default of Nix'
}
