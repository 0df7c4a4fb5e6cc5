import type { Kind, Params } from '../../model/index.ts'
import { classify } from '../../diagnosis/classify.ts'
import { oneLine, truncateEvidence } from '../../text/truncate.ts'
import type { LoginFailure } from './confirm-with-openssh.ts'
import type { PreparedLogin } from './prepare-login.ts'
import type { Ssh2Login } from './ssh2.ts'
import { parseFloodReason } from './traffic-budget.ts'

/** Classifies a failed login by its stage and the received messages. */
export const classifyLogin = (
  login: PreparedLogin,
  result: Ssh2Login,
  proxyStderr: string,
): LoginFailure => {
  const { error, stage, firstBytes, hostKeyCheck, banner } = result
  const said = [error, banner.trim()].filter(Boolean).join('\n')
  const failure = (kind: Kind, params: Params = {}, isCertain = true): LoginFailure => ({
    status: 'failed',
    kind,
    params,
    ...(said ? { evidence: truncateEvidence(said) } : {}),
    confirmWithOpenssh: !isCertain,
  })
  if (hostKeyCheck && !hostKeyCheck.accepted)
    return failure(hostKeyCheck.kind, hostKeyCheck.params, false)
  const flood = parseFloodReason(error ?? '')
  if (flood !== null) return failure('ssh_flood', { detail: flood }, false)
  if (stage === 'banner') {
    const classifiedBanner = classify(firstBytes)
    if (classifiedBanner?.kind === 'sshd_throttled')
      return {
        ...failure(classifiedBanner.kind, classifiedBanner.params),
        status: 'busy',
      }
    if (proxyStderr) {
      const classifiedProxy = classify(proxyStderr)
      if (!classifiedProxy && login.target.proxyCommand !== null)
        return proxyCommandFailure(login, proxyStderr)
      return {
        ...failure(classifiedProxy?.kind ?? 'connection_lost', {
          ...classifiedProxy?.params,
          detail: `proxy: ${oneLine(classifiedProxy?.line ?? proxyStderr)}`,
        }),
        evidence: truncateEvidence(proxyStderr),
      }
    }
    if (firstBytes)
      return failure('not_ssh', {
        detail: `it sends ${JSON.stringify(oneLine(firstBytes, 60))}`,
      })
    if (login.target.proxyCommand !== null && error !== 'timeout')
      return proxyCommandFailure(login, '')
    return error === 'timeout' ? failure('banner_timeout') : failure('sshd_closed')
  }
  if (stage === 'kex') {
    if (error && /no matching/i.test(error))
      return failure('kex_mismatch', { detail: oneLine(error) }, false)
    if (error === 'timeout') return failure('kex_timeout')
    return failure('sshd_closed', { detail: oneLine(error ?? '') }, false)
  }
  const refusal = refusalIn(said)
  if (refusal) return failure(refusal.kind, refusal.params)
  const problem = login.identities.problems[0]
  if (
    error &&
    /authentication methods failed|Too many authentication failures/i.test(error)
  )
    return problem
      ? failure(problem.kind, problem.params, false)
      : failure('auth_denied', firstKeyParams(login), false)
  if (error === 'timeout') return failure('login_timeout')
  // OpenSSH prints the reason of a disconnect
  const isClosed = error === 'closed'
  const words = banner ? [`it says: ${oneLine(banner)}`] : []
  if (isClosed) {
    // PAM, LoginGraceTime: sshd does not say which
    const detail = ['sshd closes the connection during the authentication', ...words]
    return failure('session_ended', { detail: detail.join('; ') }, false)
  }
  const detail = [oneLine(error ?? ''), ...words].join('; ')
  return failure('connection_lost', { detail }, true)
}

/** A refusal that the server explains in a banner or disconnect. Other words of a banner mean nothing. */
const refusalIn = (said: string): ReturnType<typeof classify> => {
  const classified = classify(said, 'remote')
  return classified?.kind === 'auth_check_required' || /tailnet policy/i.test(said)
    ? classified
    : null
}

/** A ProxyCommand that ended before the first byte, without a known reason. It can contain secrets, so it is not shown. */
const proxyCommandFailure = (login: PreparedLogin, stderr: string): LoginFailure => ({
  status: 'failed',
  kind: 'ssh_option',
  params: {
    option: 'ProxyCommand',
    value: '-',
    detail: `the command ends before it connects: ${oneLine(stderr) || 'it prints no reason'}`,
    port: String(login.target.port),
  },
  ...(stderr ? { evidence: truncateEvidence(stderr) } : {}),
  confirmWithOpenssh: false,
})

const firstKeyParams = (login: PreparedLogin): Params => {
  const path = login.identities.usable[0]?.path
  return path ? { key: path } : { detail: 'there is no private key to offer' }
}
