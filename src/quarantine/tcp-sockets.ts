/** A TCP connection of this machine (/proc/net/tcp, net/ipv4/tcp_ipv4.c get_tcp4_sock). */
export interface TcpSocket {
  /** Of the other side, as Node writes it; IPv4-mapped addresses as IPv4. */
  readonly address: string
  readonly port: number
  readonly state: 'established' | 'syn_sent'
  /** Retransmissions that were not answered yet. The first one of a SYN is sent after one second. */
  readonly retransmits: number
  /** Number of the socket, as in the links of /proc/PID/fd: `socket:[INODE]`. */
  readonly inode: string
}

const states: Readonly<Record<string, TcpSocket['state']>> = {
  '01': 'established',
  '02': 'syn_sent',
}
const row =
  /^ *\d+: [0-9A-F]{8,32}:[0-9A-F]{4} ([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4}) (0[12]) [0-9A-F]{8}:[0-9A-F]{8} \d\d:[0-9A-F]{8} ([0-9A-F]{8}) +\d+ +\d+ (\d+) /

/** Parses /proc/net/tcp or tcp6: established connections and those that wait for an answer. */
export const parseTcpSockets = (text: string): readonly TcpSocket[] =>
  text.split('\n').flatMap(line => {
    const [, address = '', port = '', state = '', retransmits = '', inode = ''] =
      row.exec(line) ?? []
    const known = states[state]
    return known
      ? [
          {
            address: parseAddress(address),
            port: parseInt(port, 16),
            state: known,
            retransmits: parseInt(retransmits, 16),
            inode,
          },
        ]
      : []
  })

/** Addresses are 32-bit words in the byte order of the machine; every platform of Node for Linux but s390x is little-endian. */
const parseAddress = (hex: string): string => {
  const bytes = Buffer.from(hex, 'hex')
  bytes.swap32()
  if (bytes.length === 4) return bytes.join('.')
  const isMapped =
    bytes.subarray(0, 10).every(byte => byte === 0) && bytes.readUInt16BE(10) === 0xffff
  if (isMapped) return bytes.subarray(12).join('.')
  const groups = Array.from({ length: 8 }, (_, i) =>
    bytes.readUInt16BE(2 * i).toString(16),
  )
  return new URL(`http://[${groups.join(':')}]/`).hostname.slice(1, -1)
}

/** A connection that is established, but whose data is not answered, counts from this many retransmissions (about 3 s). */
const hungRetransmits = 3

/** Returns whether a connection waits for an answer for longer than a working builder needs. */
export const isHung = ({ state, retransmits }: TcpSocket): boolean =>
  retransmits >= (state === 'syn_sent' ? 1 : hungRetransmits)

/** Returns the endpoint of a connection in the form of `findEndpoint`: `ADDRESS port N`. */
export const endpointOf = ({ address, port }: TcpSocket): string =>
  `${address} port ${port}`

/** Returns whether `ss -tinH` shows a connection that received data within the last `maxMs` milliseconds. */
export const hasRecentTraffic = (output: string, maxMs: number): boolean =>
  [...output.matchAll(/\blastrcv:(\d{1,12})\b/g)].some(([, ms]) => Number(ms) <= maxMs)
