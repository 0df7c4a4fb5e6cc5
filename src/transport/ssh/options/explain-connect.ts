import type { Kind, Params } from '../../../model/index.ts'
import type { SshTarget } from '../ssh-config.ts'
import { connectTcp } from '../tcp-connect.ts'
import { bindAddresses, isBoundToInterface } from './bind-address.ts'

const connectMs = 2000

/**
 * Explains a failed connection by AddressFamily, BindAddress or BindInterface, if one without them succeeds. Returns the
 * parameters of `ssh_option`, or null.
 */
export const explainConnect = async (
  target: SshTarget,
  kind: Kind,
  signal: AbortSignal,
): Promise<Params | null> => {
  const isBound = bindAddresses(target.options).length > 0
  const isLimited = target.family !== 0 && kind === 'dns'
  if (!isBound && !isLimited) return null
  const { hostname, port } = target
  const tcp = await connectTcp(hostname, port, 0, connectMs, signal)
  if (!tcp.ok) return null
  tcp.socket.destroy()
  if (isLimited)
    return {
      option: 'AddressFamily',
      use: 'any',
      detail: `${hostname} has no address of this family`,
    }
  return {
    option: isBoundToInterface(target.options) ? 'BindInterface' : 'BindAddress',
    detail: `${hostname} answers only connections from another address of this machine`,
  }
}
