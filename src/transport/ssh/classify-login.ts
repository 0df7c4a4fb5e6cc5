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
  const { error, stage, firstBytes, hostKeyCheck } = result
  const failure = (kind: Kind, params: Params = {}, isCertain = true): LoginFailure => ({
    status: 'failed',
    kind,
    params,
    ...(error ? { evidence: truncateEvidence(error) } : {}),
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
    return error === 'timeout' ? failure('banner_timeout') : failure('sshd_closed')
  }
  if (stage === 'kex') {
    if (error && /no matching/i.test(error))
      return failure('kex_mismatch', { detail: oneLine(error) }, false)
    if (error === 'timeout') return failure('kex_timeout')
    return failure('sshd_closed', { detail: oneLine(error ?? '') }, false)
  }
  const problem = login.identities.problems[0]
  if (
    error &&
    /authentication methods failed|Too many authentication failures/i.test(error)
  )
    return problem
      ? failure(problem.kind, problem.params, false)
      : failure('auth_denied', firstKeyParams(login), false)
  return failure('connection_lost', { detail: oneLine(error ?? '') })
}

const firstKeyParams = (login: PreparedLogin): Params => {
  const path = login.identities.usable[0]?.path
  return path ? { key: path } : { detail: 'there is no private key to offer' }
}
