import type { Builder, ClientOutcome } from '../../model/index.ts'
import { isReachedBySsh } from '../../nix/machines/store-uri.ts'
import type { LocalSystem } from './local-system.ts'
import { outcome, ok, type ClientContext } from './outcome.ts'

type Network = Pick<LocalSystem, 'hasNetwork' | 'hasRoute'>

/** Addresses for documentation (RFC 5737, RFC 3849). Only a default route leads to them. */
const elsewhere = ['203.0.113.1', '2001:db8::1'] as const

const isLoopback = (host: string | null): boolean =>
  /^(?:localhost|127\.|::1$)/.test(host ?? '')

/**
 * Creates a function that returns whether this machine has no way to a builder: no address other than loopback, or
 * neither a default route nor a route to the builder's address (null when it is not known). The address of a container
 * bridge is not a network.
 */
export const createIsOffline =
  (network: Network) =>
  async ({ host }: Pick<Builder, 'host'>, address: string | null): Promise<boolean> => {
    if (isLoopback(host) || isLoopback(address)) return false
    if (!network.hasNetwork()) return true
    if (address === null) return false
    const routes = await Promise.all([address, ...elsewhere].map(network.hasRoute))
    return !routes.includes(true)
  }

/** Checks for a network. Without a default route, builders of a directly connected network can still be reached. */
export const checkNetwork = ({ active, localSystem }: ClientContext): ClientOutcome => {
  if (localSystem.hasNetwork()) return ok
  const isRemote = active.builders.some(
    builder => isReachedBySsh(builder) && !isLoopback(builder.host),
  )
  return isRemote
    ? outcome('failed', 'client_offline')
    : outcome('skipped', 'not_applicable', { detail: 'no builder is on another machine' })
}
