import t from 'tap'
import {
  endpointOf,
  hasRecentTraffic,
  isHung,
  parseTcpSockets,
} from '../../src/quarantine/tcp-sockets.ts'

// Recorded on Linux 6: a listening socket, an established one, a SYN without an answer, one that retransmits data
const tcp = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:07E8 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1522 1 00000000734708d9 100 0 0 10 0
   1: 0100007F:A4FE 01005E0A:0016 01 00000000:00000000 02:00000AD2 00000000     0        0 77 3 000000006c956987
   2: 0100007F:A4FF 02005E0A:0016 02 00000001:00000000 01:00000064 00000001     0        0 78 2 000000006c956988
   3: 0100007F:A500 03005E0A:08AE 01 00000010:00000000 01:00000064 00000003  1000        0 79 2 000000006c956989
  99: broken`
const tcp6 = `  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000000000000:0016 B80D0120000000000000000001000000:0016 02 00000001:00000000 01:00000064 00000002     0        0 80 2 000000006c956988
   1: 0000000000000000FFFF00000100007F:0016 0000000000000000FFFF000002005E0A:0016 01 00000000:00000000 00:00000000 00000000     0        0 81 2 000000006c956988`

t.test('/proc/net/tcp and tcp6', async t => {
  const sockets = [...parseTcpSockets(tcp), ...parseTcpSockets(tcp6)]
  t.same(
    sockets.map(socket => [endpointOf(socket), socket.inode, isHung(socket)]),
    [
      ['10.94.0.1 port 22', '77', false],
      ['10.94.0.2 port 22', '78', true],
      ['10.94.0.3 port 2222', '79', true],
      ['2001:db8::1 port 22', '80', true],
      ['10.94.0.2 port 22', '81', false],
    ],
  )
  t.same(parseTcpSockets('x'.repeat(100_000)), [])
})

t.test('ss -tinH', async t => {
  const output =
    '0 0 10.94.0.101:39446 10.94.0.2:22\n\t cubic wscale:7,7 rto:204 bytes_sent:3205 lastsnd:12 lastrcv:4200 lastack:12'
  t.ok(hasRecentTraffic(output, 5000))
  t.notOk(hasRecentTraffic(output, 4000))
  t.notOk(hasRecentTraffic('', 4000))
})
