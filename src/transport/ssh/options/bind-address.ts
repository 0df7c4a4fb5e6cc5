import { isIP } from 'node:net'
import { networkInterfaces } from 'node:os'
import type { SshOptions } from './option-rules.ts'

/** Whether BindInterface decides, which ssh reads only without BindAddress. */
export const isBoundToInterface = (options: SshOptions | undefined): boolean =>
  (options?.get('bindaddress')?.[0] ?? 'none') === 'none'

/**
 * Returns the addresses of this machine from which ssh connects with BindAddress or BindInterface (sshconnect.c
 * ssh_create_socket), one for each address family; empty without them or where this machine has no such address.
 */
export const bindAddresses = (options: SshOptions | undefined): readonly string[] => {
  const bindAddress = options?.get('bindaddress')?.[0] ?? 'none'
  const bindInterface = options?.get('bindinterface')?.[0] ?? 'none'
  if (bindAddress === 'none' && bindInterface === 'none') return []
  const interfaces = networkInterfaces()
  const ownAddresses = Object.values(interfaces).flatMap(all =>
    (all ?? []).map(({ address }) => address),
  )
  if (bindAddress !== 'none') {
    const isOwn = isIP(bindAddress) !== 0 && ownAddresses.includes(bindAddress)
    return isOwn ? [bindAddress] : []
  }
  return (interfaces[bindInterface] ?? [])
    .map(({ address }) => address)
    .filter(address => !/^fe80:/i.test(address))
}
