import type { ClientChannel } from 'ssh2'

/** Limits what a server may send and cause on one connection. */
export interface TrafficBudget {
  /** Counts bytes of the socket, before they are parsed. */
  receive(bytes: number): void
  /** Counts a packet. `message` is a line of ssh2's `debug` option. */
  debug(message: string): void
  /** Counts a key exchange. Each one costs milliseconds of CPU time. */
  countKeyExchange(): void
  /** Checks the number of bytes that wait to be sent. */
  checkWriteBuffer(bytes: number): void
  /** Adds a channel that we opened. Its data is not counted against the budget. */
  addChannel(channel: ClientChannel): void
}

const floodPrefix = 'the traffic budget is exceeded: '

/** Returns the reason with which a connection that exceeded its budget is closed. */
export const floodReason = (what: string): string => `${floodPrefix}${what}`

/** Returns what was exceeded, null for other reasons. */
export const parseFloodReason = (reason: string): string | null =>
  reason.startsWith(floodPrefix) ? reason.slice(floodPrefix.length) : null

interface Limit {
  /** The most that is available at once. */
  readonly burst: number
  readonly perSecond: number
}

/**
 * Outside of our channels, sshd sends its banner, host keys, keep-alives, and the opening and closing of channels: some
 * dozens of packets.
 */
const limits = {
  bytes: { burst: 512 * 1024, perSecond: 8 * 1024 },
  packets: { burst: 2000, perSecond: 20 },
  /** Packets with data of our channels. Their bytes are limited by the readers, but not the number of tiny packets. */
  dataPackets: { burst: 20_000, perSecond: 2000 },
  /** One for each key that the server accepts; sshd has MaxAuthTries 6. */
  signatures: { burst: 12, perSecond: 0.1 },
  keyExchanges: { burst: 5, perSecond: 0.1 },
} as const satisfies Record<string, Limit>

/** ssh2 parses the text before the identification again with each chunk. sshd sends none; RFC 4253, 4.2 allows it. */
export const maxGreetingBytes = 16 * 1024
const maxWriteBufferBytes = 1024 * 1024
/** A remote that obeys its windows (2 MiB for each channel) stays below this with two channels that are not read. */
const maxUnreadBytes = 8 * 1024 * 1024
/** Channels that we closed and the remote has not. */
const maxChannels = 32
/** Header, padding and MAC of a packet, at most. */
const packetOverheadBytes = 96

/** Creates the budget of one connection. `onExceeded` is called once, with what was exceeded. */
export const createTrafficBudget = (
  onExceeded: (reason: string) => void,
  monotonic: () => number = () => performance.now(),
): TrafficBudget => {
  const channels = new Map<number, ClientChannel>()
  const create = ({ burst, perSecond }: Limit) =>
    createBucket(burst, perSecond, monotonic)
  const bytes = create(limits.bytes)
  const packets = create(limits.packets)
  const dataPackets = create(limits.dataPackets)
  const signatures = create(limits.signatures)
  const keyExchanges = create(limits.keyExchanges)
  let isExceeded = false
  /** Received bytes without those of our channels. A packet is subtracted when it is complete. */
  let outside = 0

  const exceed = (reason: string) => {
    if (isExceeded) return
    isExceeded = true
    onExceeded(reason)
  }
  const countData = (id: number, length: number) => {
    const channel = channels.get(id)
    if (!channel) return countPacket()
    outside -= length + packetOverheadBytes
    if (!dataPackets.take(1)) exceed('too many small packets in a channel')
    let unread = 0
    for (const { readableLength, stderr } of channels.values())
      unread += readableLength + (stderr as { readableLength: number }).readableLength
    if (unread > maxUnreadBytes) exceed('more data than the windows of the channels')
  }
  const countPacket = () => {
    if (!packets.take(1)) exceed('too many packets outside of our channels')
  }

  return {
    receive: count => {
      if (!bytes.take(outside)) exceed('too many bytes outside of our channels')
      outside = count
    },
    debug: message => {
      if (!message.startsWith('Inbound: ')) return
      const [, id, length] =
        /^Inbound: CHANNEL_(?:EXTENDED_)?DATA \(r:(\d+), (\d+)/.exec(message) ?? []
      if (id !== undefined) return countData(Number(id), Number(length))
      countPacket()
      if (message.includes('USERAUTH_PK_OK') && !signatures.take(1))
        exceed('too many requests for signatures')
    },
    countKeyExchange: () => {
      if (!keyExchanges.take(1)) exceed('too many key exchanges')
    },
    checkWriteBuffer: count => {
      if (count > maxWriteBufferBytes) exceed('it does not read what it requests')
    },
    addChannel: channel => {
      // Undocumented but typed: the id that the remote uses for data to us
      const { id } = channel.incoming as { id: number }
      channels.set(id, channel)
      channel.once('close', () => channels.delete(id))
      if (channels.size > maxChannels) exceed('it does not close channels')
    },
  }
}

/** A token bucket. */
const createBucket = (burst: number, perSecond: number, monotonic: () => number) => {
  let level = burst
  let at = monotonic()
  return {
    /** Takes tokens; false if there were not enough. A negative number gives them back. */
    take: (count: number): boolean => {
      const now = monotonic()
      level = Math.min(burst, level + ((now - at) / 1000) * perSecond - count)
      at = now
      return level >= 0
    },
  }
}
