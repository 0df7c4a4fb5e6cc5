import { createHmac, randomBytes } from 'node:crypto'
import type { WebAccess } from '../../model/index.ts'
import type { Bcrypt } from './bcrypt.ts'

/** `busy`: too many passwords are being verified. */
export type LoginResult = 'good' | 'bad' | 'busy'

/** Maximum number of cached logins, as in exporter-toolkit. */
const maxCached = 100
const maxWaiting = 32

/**
 * Verifies basic authentication (RFC 7617) against bcrypt hashes. Successful logins are cached by a keyed digest of
 * user, hash and password, so repeated requests are cheap and a changed hash invalidates them.
 */
export const createBasicAuth = (
  bcrypt: Pick<Bcrypt, 'compare'>,
): ((header: string | undefined, users: WebAccess['users']) => Promise<LoginResult>) => {
  const secret = randomBytes(32)
  const cached = new Set<string>()
  const waiting = new Map<string, Promise<boolean>>()

  const verify = async (key: string, password: string, hash: string, isUser: boolean) => {
    const isGood = (await bcrypt.compare(password, hash)) && isUser
    if (isGood) cache(key)
    return isGood
  }
  const cache = (key: string) => {
    cached.add(key)
    const [oldest] = cached
    if (cached.size > maxCached && oldest !== undefined) cached.delete(oldest)
  }

  return async (header, users) => {
    const credentials = parseCredentials(header)
    if (!credentials) return 'bad'
    const { user, password } = credentials
    // An unknown user must take as long as a known one
    const hash = users.get(user) ?? dummyHash(users)
    const key = createHmac('sha256', secret)
      .update(JSON.stringify([user, hash, password]))
      .digest('base64')
    if (cached.delete(key)) {
      cache(key) // move to the end
      return 'good'
    }
    let answer = waiting.get(key)
    if (!answer) {
      if (waiting.size >= maxWaiting) return 'busy'
      answer = verify(key, password, hash, users.has(user)).finally(() =>
        waiting.delete(key),
      )
      waiting.set(key, answer)
    }
    return (await answer) ? 'good' : 'bad'
  }
}

const parseCredentials = (
  header: string | undefined,
): { readonly user: string; readonly password: string } | null => {
  const encoded = /^Basic +([A-Za-z0-9+/=_-]+) *$/i.exec(header ?? '')?.[1]
  if (encoded === undefined) return null
  const text = Buffer.from(encoded, 'base64').toString('utf8')
  const colon = text.indexOf(':')
  return colon < 0
    ? null
    : { user: text.slice(0, colon), password: text.slice(colon + 1) }
}

/** Returns a hash without a known password, with the highest cost of the configured hashes. */
const dummyHash = (users: WebAccess['users']): string => {
  const costs = [...users.values()].map(hash => Number(hash.slice(4, 6)))
  const cost = String(Math.max(4, ...costs)).padStart(2, '0')
  return `$2b$${cost}$${'N'.repeat(21)}u${'x'.repeat(31)}`
}
