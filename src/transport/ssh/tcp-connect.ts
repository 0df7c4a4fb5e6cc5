import { lookup } from 'node:dns/promises'
import { connect, isIP, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { localTrouble } from '../../diagnosis/local-trouble.ts'
import type { Kind, Params } from '../../model/index.ts'

/** An address of the host that could not be connected. */
export interface FailedAddress {
  readonly address: string
  readonly kind: Kind
  readonly seconds: number
}

export type ConnectResult =
  | {
      readonly ok: true
      readonly socket: Socket
      readonly address: string
      readonly failedAddresses: readonly FailedAddress[]
      readonly dnsSeconds: number
      readonly tcpSeconds: number
    }
  | {
      readonly ok: false
      /** The error code when this machine could not open a socket. */
      readonly localCode?: string
      readonly kind: Kind
      readonly params: Params
      /** Null for a phase that failed or was not reached. */
      readonly dnsSeconds: number | null
      readonly tcpSeconds: null
    }

/** Limits the number of timeouts. */
const maxAddresses = 8

const kindByErrorCode: Readonly<Record<string, Kind>> = {
  ECONNREFUSED: 'tcp_refused',
  EHOSTUNREACH: 'tcp_unreachable',
  ENETUNREACH: 'tcp_unreachable',
  EHOSTDOWN: 'tcp_unreachable',
  EADDRNOTAVAIL: 'tcp_unreachable',
  EACCES: 'tcp_unreachable',
  EPERM: 'tcp_unreachable',
  ETIMEDOUT: 'tcp_timeout',
  ECONNRESET: 'sshd_closed',
}

/**
 * Connects as OpenSSH does: tries the addresses of getaddrinfo one after another, each with its share of the timeout, at
 * least 5 s. Node would race them and hide an unreachable first address, which delays every build of Nix by the timeout.
 * `localAddresses` are those of BindAddress and BindInterface.
 */
export const connectTcp = async (
  host: string,
  port: number,
  family: 0 | 4 | 6,
  timeoutMs: number,
  signal: AbortSignal,
  localAddresses: readonly string[] = [],
): Promise<ConnectResult> => {
  const started = performance.now()
  const since = (from: number) => (performance.now() - from) / 1000
  let addresses: string[]
  try {
    const entries = await raceAbort(lookupWithRetry(host, family), signal)
    addresses = [...new Set(entries.map(entry => entry.address))].slice(0, maxAddresses)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error)
    return {
      ok: false,
      kind: 'dns',
      params: { detail: code === 'EAI_AGAIN' ? 'the name server does not answer' : code },
      dnsSeconds: null,
      tcpSeconds: null,
    }
  }
  const dnsSeconds = since(started)
  const connectStarted = performance.now()
  const failedAddresses: FailedAddress[] = []
  let localCode: string | null = null
  const perAddressMs = Math.max(Math.min(timeoutMs, 5000), timeoutMs / addresses.length)
  for (const address of addresses) {
    const from = performance.now()
    const localAddress = localAddresses.find(local => isIP(local) === isIP(address))
    const result = await connectTo(address, port, localAddress, perAddressMs, signal)
    if (typeof result !== 'string')
      return {
        ok: true,
        socket: result,
        address,
        failedAddresses,
        dnsSeconds,
        tcpSeconds: since(connectStarted),
      }
    if (localTrouble(result)) localCode = result
    failedAddresses.push({
      address,
      kind: kindByErrorCode[result] ?? 'tcp_unreachable',
      seconds: since(from),
    })
    if (signal.aborted) break
  }
  const last = failedAddresses.at(-1)
  const detail =
    addresses.length > 1 || addresses[0] !== host
      ? failedAddresses.map(d => `${d.address}: ${d.kind.replace('tcp_', '')}`).join(', ')
      : ''
  return {
    ok: false,
    ...(localCode === null ? {} : { localCode }),
    kind: last?.kind ?? 'dns',
    params: { address: last?.address ?? host, ...(detail ? { detail } : {}) },
    dnsSeconds,
    // A phase that failed has no duration
    tcpSeconds: null,
  }
}

/** Rejects on abort: getaddrinfo cannot be cancelled, and a dead name server blocks it for half a minute. */
const raceAbort = async <T>(promise: Promise<T>, signal: AbortSignal): Promise<T> => {
  let onAbort = (): void => undefined
  const onTimeout = new Promise<never>((_, reject) => {
    onAbort = () => reject(Object.assign(new Error('late'), { code: 'EAI_AGAIN' }))
  })
  signal.addEventListener('abort', onAbort, { once: true })
  if (signal.aborted) onAbort()
  try {
    return await Promise.race([promise, onTimeout])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

/** Retries once: the cause can be a lost packet or an /etc/hosts that is being replaced. */
const lookupWithRetry = async (host: string, family: 0 | 4 | 6) => {
  const ask = () => lookup(host, { all: true, verbatim: true, family })
  return ask().catch(() => delay(250).then(ask))
}

/** Returns a connected socket or the error code. */
const connectTo = (
  address: string,
  port: number,
  localAddress: string | undefined,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Socket | string> =>
  new Promise(resolve => {
    const socket = connect({
      host: address,
      port,
      noDelay: true,
      ...(localAddress === undefined ? {} : { localAddress }),
    })
    const settle = (result: Socket | string) => {
      clearTimeout(timer)
      signal.removeEventListener('abort', onTimeout)
      if (typeof result === 'string') socket.destroy()
      resolve(result)
    }
    const onTimeout = () => settle('ETIMEDOUT')
    const timer = setTimeout(onTimeout, timeoutMs)
    signal.addEventListener('abort', onTimeout, { once: true })
    if (signal.aborted) onTimeout()
    socket.once('connect', () => settle(socket))
    // Stays for the socket's whole life: later errors are handled by its user
    socket.on('error', (error: NodeJS.ErrnoException) => settle(error.code ?? 'EIO'))
  })
