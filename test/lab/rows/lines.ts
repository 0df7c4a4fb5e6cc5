/** Faults of the machine line. */
import type { LoginValue } from '../../../src/model/index.ts'
import { labNet, nodes, type Node } from '../support.ts'
import {
  always,
  down,
  healthy,
  healthyAnd,
  hostKeyOf,
  type Expected,
  type Row,
} from './row.ts'

const withoutShell: NonNullable<Expected['also']> = (t, builder) => {
  for (const probe of ['disk', 'memory'] as const) {
    const { status, kind } = builder.probes[probe] ?? {}
    t.equal(status, 'skipped', `${builder.name}: ${probe} is skipped, not failed`)
    t.match(kind, /^(forced_command|no_shell)$/, `${builder.name}: ${probe} says why`)
  }
}

const encodeLine = (line: string) => Buffer.from(`${line}\n`).toString('base64')
const publicKeyOf = (node: Node) =>
  Buffer.from(hostKeyOf(node), 'base64').toString().trim()

export const lineRows: readonly Row[] = [
  {
    name: 'a scheme written twice',
    // Later versions reject the whole list
    clients: ['host', 'c2'],
    line: ({ node, scheme }) => ({ host: node, prefix: `${scheme}://` }),
    expect: always(
      down('store_uri_invalid', 'client', /by: ssh(?:-ng)?:\/\/remotebuild@b\d /),
    ),
  },
  { name: 'a healthy builder', line: () => ({}), expect: always(healthy) },
  {
    name: 'a correct pinned host key',
    line: ({ node }) => ({ host: `pinned.${node}`, hostKey: hostKeyOf(node) }),
    expect: always(
      healthyAnd((t, builder) => {
        const login = builder.probes.login?.value as LoginValue | undefined
        t.equal(
          login?.hostKey?.verifiedBy,
          'pinned',
          `${builder.name}: verified by the pin`,
        )
      }),
    ),
  },
  {
    name: 'a wrong pinned host key',
    line: ({ node }) => ({
      host: `mispinned.${node}`,
      hostKey: hostKeyOf(node, 'newhost'),
    }),
    expect: always(down('host_key_mismatch', 'security', /field 8.*base64 -w0/)),
  },
  // Nix passes the pin to ssh as UserKnownHostsFile; ssh also reads GlobalKnownHostsFile
  {
    name: 'a wrong pin where ssh_known_hosts has the right key',
    line: ({ node }) => ({ hostKey: hostKeyOf(node, 'newhost') }),
    expect: always(healthy),
  },
  {
    name: 'a line of ssh-keyscan in field 8',
    ssh: () => ['GlobalKnownHostsFile /dev/null'],
    line: ({ node }) => ({
      hostKey: encodeLine(`${node} ${publicKeyOf(node)}`),
    }),
    expect: ({ node }) =>
      down(
        'pinned_key_invalid',
        'client',
        new RegExp(`Set field 8 to ${hostKeyOf(node).slice(0, 40)}`),
      ),
  },
  {
    name: 'an authority in field 8',
    ssh: () => ['GlobalKnownHostsFile /dev/null'],
    line: ({ node }) => ({
      hostKey: encodeLine(`@cert-authority * ${publicKeyOf(node)}`),
    }),
    expect: always(
      down('pinned_key_invalid', 'client', /tee -a \/etc\/ssh\/ssh_known_hosts/),
    ),
  },
  // ssh reads the global file, too
  {
    name: 'no public key in field 8 where ssh_known_hosts has the right key',
    line: () => ({ hostKey: encodeLine('nonsense') }),
    expect: always(healthy),
  },
  {
    name: 'a key that the builder does not accept',
    line: () => ({ key: '/lab/keys/wrong' }),
    expect: ({ node }) =>
      down(
        'auth_denied',
        'client',
        new RegExp(
          `authorized_keys of remotebuild on \\S*${node} .*ssh-keygen -y -f /lab/keys/wrong`,
        ),
      ),
  },
  {
    name: 'a key with a passphrase',
    line: () => ({ key: '/lab/keys/locked' }),
    expect: always(
      down('key_encrypted', 'client', /ssh-keygen -p .*\/lab\/keys\/locked/),
    ),
  },
  {
    name: 'a key that does not exist',
    line: () => ({ key: '/lab/keys/nosuch' }),
    expect: always(down('key_missing', 'client', /ssh-keygen -t .*\/lab\/keys\/nosuch/)),
  },
  {
    name: 'a key file without a key',
    line: () => ({ key: '/lab/keys/notakey' }),
    expect: always(
      down('key_unreadable', 'client', /ssh-keygen -y -f \/lab\/keys\/notakey/),
    ),
  },
  {
    name: 'a key that others can read',
    line: () => ({ key: '/lab/keys/open' }),
    expect: always(down('key_permissions', 'client', /chmod 600 \/lab\/keys\/open/)),
  },
  {
    name: 'an unknown host key',
    line: ({ node }) => ({ host: `unknown.${node}` }),
    expect: always(
      down('host_key_unknown', 'client', /ssh-keygen -lf.*field 8.*unknown\.b\d true/s),
    ),
  },
  {
    name: 'another host key in known_hosts',
    line: ({ node }) => ({ host: `changed.${node}` }),
    expect: ({ node }) =>
      down('host_key_changed', 'security', new RegExp(`ssh-keygen -R changed\\.${node}`)),
  },
  {
    name: 'a revoked host key',
    line: ({ node }) => ({ host: `revoked.${node}` }),
    expect: always(down('host_key_revoked', 'security', /new host key.*ssh-keygen -A/)),
  },
  {
    name: 'a user that the builder does not trust',
    line: () => ({ user: 'plain' }),
    expect: always(down('not_trusted', 'remote', /Add plain to trusted-users/)),
  },
  {
    name: 'a user that is not allowed to use the daemon',
    line: () => ({ user: 'outsider' }),
    expect: always(down('daemon_denied', 'remote', /usermod -aG nix-users outsider/)),
  },
  {
    name: 'a user that does not exist',
    line: () => ({ user: 'nosuchuser' }),
    expect: always(down('auth_denied', 'client', /authorized_keys/)),
  },
  {
    name: 'a user without a login shell',
    line: () => ({ user: 'noshell' }),
    expect: always(down('nologin', 'remote', /usermod -s \S+ noshell/)),
  },
  {
    name: 'a forced command for ssh-ng',
    line: () => ({ user: 'forced' }),
    expect: ({ scheme }) =>
      scheme === 'ssh-ng'
        ? healthyAnd(withoutShell)
        : down('protocol_mismatch', 'remote', /ssh-ng:\/\/ for nix-daemon --stdio/),
  },
  {
    name: 'a forced command for ssh',
    line: () => ({ user: 'forcedserve' }),
    expect: ({ scheme }) =>
      scheme === 'ssh'
        ? healthyAnd(withoutShell)
        : down('protocol_mismatch', 'remote', /ssh:\/\/ for nix-store --serve/),
  },
  {
    name: 'a feature that the builder does not have',
    line: () => ({ features: 'big-parallel,lab-nope' }),
    expect: always({
      state: 'degraded',
      kind: 'feature_missing',
      side: 'remote',
      fix: /lab-nope from the machine line.*system-features/,
    }),
  },
  {
    name: 'a system that the builder does not have',
    line: () => ({ systems: 'riscv64-linux' }),
    expect: always(down('system_missing', 'remote', /extra-platforms = riscv64-linux/)),
  },
  {
    name: 'one of two systems that the builder does not have',
    line: () => ({ systems: 'x86_64-linux,riscv64-linux' }),
    expect: always({
      state: 'degraded',
      kind: 'system_missing',
      side: 'remote',
      fix: /extra-platforms = riscv64-linux/,
    }),
  },
  {
    name: 'a dead first address',
    line: ({ node }) => ({ host: `twice.${node}` }),
    expect: always({
      state: 'degraded',
      kind: 'dead_address',
      side: 'network',
      fix: /getent ahosts twice\.b\d/,
    }),
  },
  {
    name: 'a name without an address',
    line: ({ node }) => ({ host: `nowhere-${node}.invalid` }),
    expect: always(down('dns', 'client', /getent ahosts nowhere-/)),
  },
  {
    name: 'an unused address',
    line: ({ node }) => ({ host: `${labNet}.19${nodes.indexOf(node)}` }),
    expect: always(down('tcp_unreachable', 'network', /ip route get/)),
  },
  {
    name: 'a public key instead of the private key',
    line: () => ({ key: '/lab/keys/pub' }),
    expect: always(down('key_unreadable', 'client', /ssh-keygen -y -f \/lab\/keys\/pub/)),
  },
]
