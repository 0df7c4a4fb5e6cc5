/** Settings of ssh_config: jump hosts, proxy commands, other known_hosts. */
import { labNet, nodes, type Node } from '../support.ts'
import { always, down, healthy, type Expected, type Row } from './row.ts'

/** Returns the jump host of a builder: another builder. */
const over = (node: Node): Node => nodes[(nodes.indexOf(node) + 1) % nodes.length] ?? 'b1'

/** ssh_config lines of a ProxyJump; `options` are those of the jump host. */
const jump =
  (options: (over: Node) => readonly string[]) =>
  ({ node }: { readonly node: Node }, host: string): readonly string[] => [
    `ProxyJump jump.${host}`,
    `Host jump.${host}`,
    'User remotebuild',
    'IdentitiesOnly yes',
    ...options(over(node)),
  ]
const key = 'IdentityFile /lab/keys/id'

/** The jump host is the cause, reported once for both builders behind it. */
const causedByJumpHost = (expected: Expected): Expected => ({
  ...expected,
  also: (t, { name, cause }, { node }, { sharedCauses }) => {
    const group = sharedCauses.find(({ builders }) => builders.includes(name))
    t.match(group?.scope, /^the jump host jump\./, `${name}: the scope is the jump host`)
    t.equal(
      group?.builders.length,
      2,
      `${name}: shares the cause with the other scheme of ${node}`,
    )
    t.match(cause?.reason, /^jump host jump\./, `${name}: the reason names the jump host`)
  },
})
/** The builder is the cause, not the jump host. */
const causedByBuilder = (expected: Expected): Expected => ({
  ...expected,
  also: (t, { name, cause }) =>
    t.notMatch(cause?.reason, /^jump host/, `${name}: the jump host is not the cause`),
})

/** The builder is not reached from the jump host. */
const causedBy = (expected: Expected): Expected => ({
  ...expected,
  also: (t, { name, cause }) => {
    t.match(cause?.reason, /jump host jump\./, `${name}: the reason names the jump host`)
    for (const fix of cause?.fixes ?? [])
      if ('command' in fix) t.notMatch(fix.command, / -$/, `${name}: ${fix.command}`)
  },
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
    name: 'a jump host whose address is unused',
    ssh: jump(over => [key, `HostName ${labNet}.20${nodes.indexOf(over)}`]),
    expect: always(causedByJumpHost(down('tcp_unreachable', 'network', /ip route get/))),
  },
  {
    name: 'a jump host without sshd',
    ssh: jump(over => [key, `HostName ${over}`, 'Port 23']),
    expect: always(
      causedByJumpHost(down('tcp_refused', 'remote', /systemctl start sshd/)),
    ),
  },
  {
    name: 'a jump host that does not accept the key',
    ssh: jump(over => [
      'IdentityFile /lab/keys/wrong',
      `HostName ${over}`,
      `HostKeyAlias ${over}`,
    ]),
    expect: always(
      causedByJumpHost(
        down('auth_denied', 'client', / on jump\.\S* .*ssh-keygen -y -f \S*\/wrong/),
      ),
    ),
  },
  {
    name: 'a jump host with an unknown host key',
    ssh: jump(over => [key, `HostName ${over}`, `HostKeyAlias unknown.${over}`]),
    expect: always(
      causedByJumpHost(down('host_key_unknown', 'client', /ssh-keygen -lf/)),
    ),
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
    expect: always(
      causedByBuilder(down('tcp_refused', 'remote', /systemctl start sshd/)),
    ),
  },
  {
    name: 'a name that the jump host cannot resolve',
    ssh: (where, host) => [
      'HostName nosuch.invalid',
      ...jump(over => [key, `HostName ${over}`, `HostKeyAlias ${over}`])(where, host),
    ],
    expect: always(
      causedBy(down('jump_dns', 'remote', /ssh jump\.\S+ getent ahosts nosuch\.invalid/)),
    ),
  },
  {
    name: 'an unused address behind a jump host',
    ssh: (where, host) => [
      `HostName ${labNet}.210`,
      ...jump(over => [key, `HostName ${over}`, `HostKeyAlias ${over}`])(where, host),
    ],
    expect: always(
      causedBy(
        down('tcp_unreachable', 'network', /ssh jump\.\S+ 'ip route get \S+\.210'/),
      ),
    ),
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
    name: 'an empty known_hosts',
    ssh: () => ['UserKnownHostsFile /dev/null', 'GlobalKnownHostsFile /dev/null'],
    expect: always(down('host_key_unknown', 'client', /field 8/)),
  },
  {
    name: 'a wrong port',
    ssh: () => ['Port 23'],
    expect: always(down('ssh_option', 'client', /Port/)),
  },
]
