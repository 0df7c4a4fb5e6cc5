import { isIP } from 'node:net'

/** Returns whether a request with this `Host` header may be answered. */
export type AllowHost = (host: string | undefined) => boolean

/**
 * Rejects the hosts of DNS rebinding: a web page whose name the attacker points to our address, so that the browser lets
 * the page read our responses. Accepts address literals, `localhost` and the names, with any port. A request without the
 * header (HTTP/1.0) is not from a browser.
 */
export const createAllowHost =
  (names: () => Iterable<string>): AllowHost =>
  host => {
    if (host === undefined) return true
    const name = hostNameOf(host)
    if (name === null) return false
    return (
      isIP(name) !== 0 ||
      name === 'localhost' ||
      name.endsWith('.localhost') ||
      [...names()].some(one => normalize(one) === name)
    )
  }

/** Returns the host of `host:port` in lower case, without brackets and a final dot; null for other text. */
const hostNameOf = (host: string): string | null => {
  const [, bracketed, plain] =
    /^(?:\[([0-9a-f:.]{2,60})\]|([\w.-]{1,255}))(?::\d{0,5})?$/i.exec(host) ?? []
  const name = bracketed ?? plain
  return name === undefined ? null : normalize(name)
}

const normalize = (name: string): string => {
  const lower = name.toLowerCase()
  return lower.endsWith('.') ? lower.slice(0, -1) : lower
}
