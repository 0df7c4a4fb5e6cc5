import { createHmac, randomBytes } from 'node:crypto'
import type { WebAccess } from '../../model/index.ts'
import type { Bcrypt } from './bcrypt.ts'

/** `busy`: too many passwords are being verified. */
export type LoginResult = 'good' | 'bad' | 'busy'

/** Maximum number of cached logins, as in exporter-toolkit. */
const maxCached = 100
/** Comparisons that wait, of all clients and of one. */
const maxWaiting = 32
const maxWaitingPerClient = 8
/** Further places for clients with a successful login, which others cannot take. */
const reservedWaiting = 8
const maxKnownClients = 100

/**
 * Verifies basic authentication (RFC 7617) against bcrypt hashes. Successful logins are cached by a keyed digest of
 * user, hash and password, so repeated requests are cheap and a changed hash invalidates them. `client` is an address:
 * wrong passwords from one address do not lock out another one.
 */
export const createBasicAuth = (
  bcrypt: Pick<Bcrypt, 'compare'>,
): ((
  header: string | undefined,
  users: WebAccess['users'],
  client?: string,
) => Promise<LoginResult>) => {
  const secret = randomBytes(32)
  const cached = new Set<string>()
  const waiting = new Map<
    string,
    { readonly client: string; readonly answer: Promise<boolean> }
  >()
  const knownClients = new Set<string>()

  const verify = async (key: string, password: string, hash: string, isUser: boolean) => {
    const isGood = (await bcrypt.compare(password, hash)) && isUser
    if (isGood) addNewest(cached, key, maxCached)
    return isGood
  }
  const hasPlace = (client: string): boolean => {
    const ofClient = [...waiting.values()].filter(one => one.client === client).length
    const reserved = knownClients.has(client) ? reservedWaiting : 0
    return (
      waiting.size < maxWaiting + reserved && ofClient < maxWaitingPerClient + reserved
    )
  }

  return async (header, users, client = '') => {
    const credentials = parseCredentials(header)
    if (!credentials) return 'bad'
    const { user, password } = credentials
    // An unknown user must take as long as a known one
    const hash = users.get(user) ?? dummyHash(users)
    const key = createHmac('sha256', secret)
      .update(JSON.stringify([user, hash, password]))
      .digest('base64')
    if (cached.delete(key)) {
      addNewest(cached, key, maxCached)
      return 'good'
    }
    let answer = waiting.get(key)?.answer
    if (!answer) {
      if (!hasPlace(client)) return 'busy'
      answer = verify(key, password, hash, users.has(user)).finally(() =>
        waiting.delete(key),
      )
      waiting.set(key, { client, answer })
    }
    if (!(await answer)) return 'bad'
    addNewest(knownClients, client, maxKnownClients)
    return 'good'
  }
}

/** Adds a value as the newest one, and deletes the oldest above `max`. */
const addNewest = (values: Set<string>, value: string, max: number): void => {
  values.delete(value)
  values.add(value)
  const [oldest] = values
  if (values.size > max && oldest !== undefined) values.delete(oldest)
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
