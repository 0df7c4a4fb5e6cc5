import type { AuthenticationType } from 'ssh2'
import type { Trace } from '../../model/index.ts'
import type { Identity } from './identities.ts'

/** One method that is offered, with a name for the trace. */
export interface AuthMethod {
  /** Path of the key, or `agent`. */
  readonly identity: string
  readonly name: string
  readonly method: object
}

/** Returns the authentication methods: identity files, then the agent. */
export const authMethods = (
  request: {
    readonly user: string
    readonly identities: readonly Identity[]
    readonly agent: string | null
  },
  fingerprintOfKey: (key: Buffer) => string,
): AuthMethod[] => [
  ...request.identities.map(({ path, key }) => ({
    identity: path,
    name: `${path} ${fingerprintOfKey(key)}`,
    method: { type: 'publickey', username: request.user, key },
  })),
  ...(request.agent
    ? [
        {
          identity: 'agent',
          name: `the keys of the agent ${request.agent}`,
          method: {
            type: 'agent' as AuthenticationType,
            username: request.user,
            agent: request.agent,
          },
        },
      ]
    : []),
]

/**
 * Offers methods one after the other, as ssh2 does with a list, and traces each of them and the server's answer. `onOffer`
 * gets the identity of each: the last one before a login is the accepted one.
 */
export const sequentialAuth = (
  offers: readonly AuthMethod[],
  trace: Trace,
  onOffer: (identity: string) => void,
) => {
  const remaining = [...offers]
  return (methods: readonly string[] | null): object | false => {
    if (methods)
      trace('rejected', `the server accepts ${methods.join(', ') || 'nothing'}`)
    const next = remaining.shift()
    if (!next) return false
    trace('offer', next.name)
    onOffer(next.identity)
    return next.method
  }
}
