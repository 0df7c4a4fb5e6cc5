import { createHmac, randomBytes } from 'node:crypto'
import type { WebAccess } from '../../model.ts'
import type { Bcrypt } from './bcrypt.ts'

/** `busy`: too many are being looked at already. */
export type Login = 'good' | 'bad' | 'busy'

/** Logins that are remembered: as many as exporter-toolkit does. */
const maxKnown = 100
const maxWaiting = 32

/**
 * Basic authentication (RFC 7617) against bcrypt hashes. A good login is remembered by a keyed digest of user, hash and
 * password, so that it costs nothing the next time, and counts no more once the hash has changed.
 */
export const createBasicAuth = (
  bcrypt: Pick<Bcrypt, 'compare'>,
): ((header: string | undefined, users: WebAccess['users']) => Promise<Login>) => {
  const secret = randomBytes(32)
  const known = new Set<string>()
  const waiting = new Map<string, Promise<boolean>>()

  const look = async (key: string, password: string, hash: string, isUser: boolean) => {
    const isGood = (await bcrypt.compare(password, hash)) && isUser
    if (isGood) remember(key)
    return isGood
  }
  const remember = (key: string) => {
    known.add(key)
    const [oldest] = known
    if (known.size > maxKnown && oldest !== undefined) known.delete(oldest)
  }

  return async (header, users) => {
    const given = credentialsOf(header)
    if (!given) return 'bad'
    const { user, password } = given
    // An unknown user takes as long as a known one
    const hash = users.get(user) ?? nobodysHash(users)
    const key = createHmac('sha256', secret)
      .update(JSON.stringify([user, hash, password]))
      .digest('base64')
    if (known.delete(key)) {
      remember(key) // as the newest
      return 'good'
    }
    let answer = waiting.get(key)
    if (!answer) {
      if (waiting.size >= maxWaiting) return 'busy'
      answer = look(key, password, hash, users.has(user)).finally(() =>
        waiting.delete(key),
      )
      waiting.set(key, answer)
    }
    return (await answer) ? 'good' : 'bad'
  }
}

const credentialsOf = (
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

/** A hash that no password is known for, of the cost that most work is done for. */
const nobodysHash = (users: WebAccess['users']): string => {
  const costs = [...users.values()].map(hash => Number(hash.slice(4, 6)))
  const cost = String(Math.max(4, ...costs)).padStart(2, '0')
  return `$2b$${cost}$${'N'.repeat(21)}u${'x'.repeat(31)}`
}
