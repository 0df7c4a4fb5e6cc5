/** Options of ssh_config that stop builds or do not; docs/ssh.md has the whole table. */
import {
  always,
  degraded,
  down,
  healthy,
  healthyThroughOpenssh,
  type Row,
} from './row.ts'

/** The cause is the option, with the file and line and a command that turns it off. */
const stops = (lines: readonly string[]): Row => ({
  name: `ssh_config: ${lines.join(', ')}`,
  ssh: () => lines,
  expect: always(down('ssh_option', 'client', /sed -i '?\d+s.*ssh_config/)),
})
const works = (lines: readonly string[], expected = healthy): Row => ({
  name: `ssh_config: ${lines.join(', ')}`,
  ssh: () => lines,
  expect: always(expected),
})

export const sshOptionRows: readonly Row[] = [
  { ...stops(['RequestTTY force']), isLong: true },
  stops(['RemoteCommand /bin/true']),
  stops(['BindAddress 192.0.2.77']),
  stops(['BindInterface nosuch0']),
  stops(['StdinNull yes']),
  stops(['SessionType none']),
  stops(['SessionType subsystem']),
  stops(['Ciphers aes128-cbc']),
  stops(['KexAlgorithms diffie-hellman-group1-sha1']),
  stops(['HostKeyAlgorithms ecdsa-sha2-nistp256']),
  stops(['MACs hmac-md5', 'Ciphers aes256-ctr']),
  stops(['PubkeyAcceptedAlgorithms rsa-sha2-512']),
  stops(['PubkeyAuthentication no']),
  stops(['PreferredAuthentications password']),
  stops(['KnownHostsCommand /bin/false']),
  stops(['RevokedHostKeys /nonexistent/krl']),
  stops([
    'ProxyUseFdpass yes',
    'ProxyCommand ssh -i /lab/keys/id -W %h:%p remotebuild@b1',
  ]),
  stops(['ProxyCommand /nonexistent/nc %h %p']),
  stops(['ControlMaster auto', 'ControlPath /nonexistent/%C']),
  stops(['ExitOnForwardFailure yes', 'RemoteForward 127.0.0.1:22 127.0.0.1:22']),
  stops(['AddressFamily inet6']),
  stops(['Port 2222']),
  stops(['HostName 192.0.2.9']),
  {
    name: 'ssh_config: Port 2222, and no sshd at all',
    faults: ['sshd-stop'],
    ssh: () => ['Port 2222'],
    expect: always({
      ...down('tcp_refused', 'remote', /Port 2222 \(.*ssh_config:\d+\)/),
      also: (t, { name, cause }) => {
        t.match(cause?.reason, /Port 2222 comes from .*ssh_config:\d+/, name)
      },
    }),
  },
  {
    name: 'ssh_config: User nobody-here',
    line: () => ({ user: '' }),
    ssh: () => ['User nobody-here'],
    expect: always(
      down('auth_denied', 'client', /User nobody-here \(.*ssh_config:\d+\)/),
    ),
  },
  works(
    ['ExitOnForwardFailure yes', 'LocalForward 127.0.0.1:45123 127.0.0.1:9'],
    // Two builds at a time cannot have the same port
    {
      ...degraded('ssh_option', 'client', /sed -i/),
      or: down('ssh_option', 'client', /sed -i/),
    },
  ),
  works(['ForkAfterAuthentication yes']),
  works(['LocalForward 127.0.0.1:45124 127.0.0.1:9']),
  works(['LogLevel QUIET']),
  works(['ControlMaster auto', 'ControlPath /tmp/%C']),
  works(['Ciphers aes128-ctr', 'KexAlgorithms curve25519-sha256']),
  { ...works(['BindInterface eth0']), clients: ['c3', 'c1'] },
  works(['Tunnel yes', 'EscapeChar ~', 'RekeyLimit 1K']),
  works(['RevokedHostKeys /lab/keys/newhost_b1.pub'], healthyThroughOpenssh),
]
