/** Faults before the login: the network, the listener, and sshd. */
import { inNode } from '../support.ts'
import {
  always,
  degraded,
  down,
  healthy,
  healthyThroughOpenssh,
  hostKeyOf,
  type Expected,
  type Row,
} from './row.ts'

const restart = /systemctl (re)?start/
const throttled: Expected = {
  state: 'unknown',
  kind: 'sshd_throttled',
  side: 'remote',
  fix: /MaxStartups/,
}

export const reachRows: readonly Row[] = [
  {
    name: 'sshd stopped',
    faults: ['sshd-stop'],
    expect: always(down('tcp_refused', 'remote', /systemctl start sshd/)),
  },
  {
    name: "sshd's listener killed during a session",
    faults: ['session', 'sshd-listener'],
    expect: always(down('tcp_refused', 'remote', /systemctl start sshd/)),
    during: async node => {
      const alive = await inNode(node, 'pgrep -u remotebuild -f lab-session | wc -l')
      return Number(alive) > 0 ? null : `the session on ${node} has ended`
    },
  },
  {
    name: 'sshd frozen',
    isLong: true,
    faults: ['sshd-freeze'],
    expect: always(down('banner_timeout', 'remote', restart)),
  },
  {
    name: 'sshd rejects logins above MaxStartups',
    faults: ['sshd-throttle'],
    expect: always(throttled),
  },
  {
    name: 'a login banner that begins with "# "',
    faults: ['banner'],
    expect: ({ scheme }) =>
      scheme === 'ssh' ? healthy : down('bad_hook_reply', 'client', /LogLevel ERROR/),
  },
  {
    name: 'the same banner with LogLevel ERROR',
    faults: ['banner'],
    ssh: () => ['LogLevel ERROR'],
    expect: always(healthy),
  },
  {
    name: 'sshd that allows no session',
    faults: ['max-sessions'],
    expect: always(down('sessions_forbidden', 'remote', /MaxSessions/)),
  },
  {
    name: 'a node that drops every packet',
    isLong: true,
    faults: ['blackhole'],
    expect: always(down('tcp_timeout', 'network', /ping/)),
  },
  {
    name: 'a link that is down',
    faults: ['link-down'],
    expect: always(down('tcp_unreachable', 'network', /ip route get/)),
  },
  {
    name: 'a firewall that rejects',
    faults: ['reject'],
    expect: always(down('tcp_unreachable', 'network', /ip route get/)),
  },
  {
    name: 'a tarpit',
    isLong: true,
    faults: ['tarpit'],
    expect: always(down('banner_timeout', 'remote', restart)),
  },
  {
    name: 'a web server on the port',
    isLong: true,
    faults: ['garbage'],
    expect: always(down('not_ssh', 'remote', /host and port.*nc /)),
  },
  {
    name: 'a web server on the port that closes the connection',
    faults: ['garbage-close'],
    expect: always(down('not_ssh', 'remote', /host and port.*nc /)),
  },
  {
    name: 'random bytes on the port',
    faults: ['binary'],
    expect: always(down('not_ssh', 'remote', /host and port.*nc /)),
  },
  {
    name: 'a new host key',
    faults: ['hostkey'],
    expect: ({ node }) =>
      down('host_key_changed', 'security', new RegExp(`ssh-keygen -R ${node}`)),
  },
  {
    name: 'a new host key where the old one is pinned',
    faults: ['hostkey'],
    line: ({ node }) => ({ hostKey: hostKeyOf(node) }),
    expect: always(down('host_key_mismatch', 'security', /field 8.*base64 -w0/)),
  },
  {
    name: 'no common key exchange',
    faults: ['kex'],
    expect: always(down('kex_mismatch', 'remote', /Update the older side/)),
  },
  {
    name: 'full-size packets lost',
    isLong: true,
    faults: ['mtu'],
    expect: always(down('kex_timeout', 'network', /ping .*-M do/)),
  },
  // sshd writes the reason for a refused key only to its own log
  ...(
    [
      ['authorized keys that others can write', 'strict-modes'],
      ['an expired account', 'expired'],
      ['a locked account', 'locked'],
    ] as const
  ).map(([name, fault]): Row => ({
    name,
    faults: [fault],
    expect: always(down('auth_denied', 'client', /chage -l remotebuild.*journalctl/)),
  })),
  {
    name: 'no authorized key',
    faults: ['no-auth'],
    expect: always(down('auth_denied', 'client', /ssh-keygen -y -f \/lab\/keys\/id/)),
  },
  {
    name: 'an unknown host key with StrictHostKeyChecking=no',
    from: {
      env: {
        NIX_SSHOPTS: '-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null',
      },
    },
    line: ({ node }) => ({ host: `unknown.${node}` }),
    expect: always(degraded('host_key_unpinned', 'security', /field 8/)),
  },
  // OpenSSH supports it, ssh2 does not
  {
    name: 'a key exchange that only OpenSSH supports',
    faults: ['kex-pq'],
    expect: always(healthyThroughOpenssh),
  },
  {
    name: 'a known RSA host key',
    faults: ['rsa-host'],
    line: ({ node }) => ({ host: `rsaonly.${node}` }),
    expect: always(healthy),
  },
  {
    name: 'an RSA host key, known_hosts also has an Ed25519 one',
    faults: ['rsa-host'],
    line: ({ node }) => ({ host: `rsa.${node}` }),
    expect: always(healthy),
  },
  {
    name: 'an RSA host key, known_hosts has only an Ed25519 one',
    faults: ['rsa-host'],
    expect: always(down('host_key_changed', 'security', /ssh-keygen -R/)),
  },
  {
    name: 'penalties for failed logins',
    faults: ['penalties'],
    on: ['b3'], // OpenSSH 9.8 and later
    before: node =>
      `for i in 1 2 3 4 5 6 7 8; do ssh -o BatchMode=yes -o IdentitiesOnly=yes -i /lab/keys/wrong remotebuild@${node} true; done; true`,
    expect: always({
      ...throttled,
      or: down('sshd_closed', 'remote', /PerSourcePenaltyExemptList/),
    }),
  },
  {
    name: 'a link of 64 kbit/s',
    faults: ['slow'],
    // The canary of one scheme may wait for the measurement of the other
    expect: always({
      ...degraded('slow_link', 'network', /minMiBPerSecond/),
      or: degraded('slow_login', 'remote', /time ssh/),
    }),
  },
]
