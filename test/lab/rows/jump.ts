/** What ssh_config says: hosts behind other hosts, and known_hosts of other kinds. */
import { labNet, nodes, type Node } from '../support.ts'
import { always, down, healthy, type Expected, type Row } from './row.ts'

/** The host to jump over: another builder than the one behind it. */
const over = (node: Node): Node => nodes[(nodes.indexOf(node) + 1) % nodes.length] ?? 'b1'

/** A jump over `over`, of which ssh_config says `words`. */
const jump =
  (words: (over: Node) => readonly string[]) =>
  ({ node }: { readonly node: Node }, host: string): readonly string[] => [
    `ProxyJump jump.${host}`,
    `Host jump.${host}`,
    'User remotebuild',
    'IdentitiesOnly yes',
    ...words(over(node)),
  ]
const key = 'IdentityFile /lab/keys/id'

/** The jump host is at fault, which is told once for both builders behind it. */
const sharedBy = (expected: Expected): Expected => ({
  ...expected,
  also: (t, { name, cause }, { node }, { sharedCauses }) => {
    const group = sharedCauses.find(({ builders }) => builders.includes(name))
    t.match(group?.scope, /^the jump host jump\./, `${name}: the scope is named`)
    t.equal(group?.builders.length, 2, `${name}: shared with the other scheme of ${node}`)
    t.match(cause?.reason, /^jump host jump\./, `${name}: and in its reason`)
  },
})
/** The jump host is well, and not to blame. */
const ofItsOwn = (expected: Expected): Expected => ({
  ...expected,
  also: (t, { name, cause }) =>
    t.notMatch(cause?.reason, /jump host/, `${name}: the jump host is not to blame`),
})

export const jumpRows: readonly Row[] = [
  {
    name: 'a builder behind a jump host',
    ssh: jump(over => [key, `HostName ${over}`, `HostKeyAlias ${over}`]),
    expect: always(healthy),
  },
  {
    name: 'a builder behind a ProxyCommand',
    ssh: ({ node }) => [
      `ProxyCommand ssh -i /lab/keys/id -W %h:%p remotebuild@${over(node)}`,
    ],
    expect: always(healthy),
  },
  {
    name: 'a jump host that nobody has',
    ssh: jump(over => [key, `HostName ${labNet}.20${nodes.indexOf(over)}`]),
    expect: always(sharedBy(down('tcp_unreachable', 'network', /ip route get/))),
  },
  {
    name: 'a jump host without sshd',
    ssh: jump(over => [key, `HostName ${over}`, 'Port 23']),
    expect: always(sharedBy(down('tcp_refused', 'remote', /systemctl start sshd/))),
  },
  {
    name: 'a jump host that does not accept the key',
    ssh: jump(over => [
      'IdentityFile /lab/keys/wrong',
      `HostName ${over}`,
      `HostKeyAlias ${over}`,
    ]),
    expect: always(
      sharedBy(down('auth_denied', 'client', /ssh-copy-id .*\/wrong jump\./)),
    ),
  },
  {
    name: 'a jump host with an unknown host key',
    ssh: jump(over => [key, `HostName ${over}`, `HostKeyAlias unknown.${over}`]),
    expect: always(sharedBy(down('host_key_unknown', 'client', /ssh-keygen -lf/))),
  },
  {
    name: 'a dead builder behind a jump host',
    ssh: (where, host) => [
      'Port 23',
      ...jump(over => [key, `HostName ${over}`, `HostKeyAlias ${over}`, 'Port 22'])(
        where,
        host,
      ),
    ],
    expect: always(ofItsOwn(down('tcp_refused', 'remote', /systemctl start sshd/))),
  },
  {
    name: 'known_hosts with hashed names',
    ssh: () => [
      'UserKnownHostsFile /lab/keys/known_hosts.hashed',
      'GlobalKnownHostsFile /dev/null',
    ],
    expect: always(healthy),
  },
  {
    name: 'known_hosts that are empty',
    ssh: () => ['UserKnownHostsFile /dev/null', 'GlobalKnownHostsFile /dev/null'],
    expect: always(down('host_key_unknown', 'client', /field 8/)),
  },
  {
    name: 'another port than sshd has',
    ssh: () => ['Port 23'],
    expect: always(down('tcp_refused', 'remote', /port/)),
  },
]
