/** Faults and unusual settings of the client. */
import {
  always,
  down,
  healthy,
  healthyAnd,
  type Expected,
  type From,
  type Row,
} from './row.ts'

const nodeClients = ['c3', 'c1'] as const
const plain: From = {
  as: 'plain',
  before: 'install -o plain -g plain -m 600 /lab/keys/id /home/plain/lab-key',
}
const ownKey = () => ({ key: '/home/plain/lab-key' })
const daemonMode = ['check', '--canary-mode', 'daemon', '--json']

const withoutCanary =
  (kind: string): Expected['also'] & object =>
  (t, builder) => {
    const { status, kind: actual } = builder.probes.canary ?? {}
    t.strictSame([status, actual], ['skipped', kind], `${builder.name}: canary skipped`)
  }
const rootOwns = /chown root: \/root\/\.ssh\/config/
/** root has an ssh_config, on which this command was run. Only for the file of the user does ssh check owner and mode. */
const ownSshConfig = (command: string, expected: Expected): Row => ({
  name: `an ssh_config of root after ${command}`,
  clients: nodeClients,
  from: {
    before: `install -m 600 /dev/null /root/.ssh/config; ${command} /root/.ssh/config`,
    after: 'rm /root/.ssh/config',
  },
  expect: always(expected),
})
/** Healthy; a client check reports that Nix uses other ssh settings than this service. */
const differentIdentity = (reason: RegExp): Expected =>
  healthyAnd((t, { name }, _, { client }) => {
    const { identity } = client.checks
    t.match(identity, { status: 'degraded', kind: 'ssh_settings_differ', reason }, name)
  })
/** Healthy by the direct build; a check of the client has the reason why no canary was built. */
const verifiedDirectly = (kind: RegExp): Expected => ({
  state: 'healthy',
  kind: null,
  also: (t, { name, verified, probes }, _, { client }) => {
    t.match(probes.canary, { status: 'skipped', kind }, `${name}: the canary is skipped`)
    t.equal(probes.direct?.status, 'ok', `${name}: the direct build works`)
    t.ok(verified, `${name} is verified`)
    t.match(
      client.checks['canary'],
      { status: 'degraded', kind },
      'a check has the reason',
    )
  },
})
const withoutTemp = verifiedDirectly(/^client_temp_unusable$/)
/** A setting for the run; the builder has this result, and a check of the client has that one. */
const withSetting = (
  setting: string,
  expected: Expected,
  check: string,
  outcome: Readonly<Record<string, unknown>>,
): Pick<Row, 'from' | 'expect'> => ({
  from: { config: setting, ...(setting.includes('/lab/') ? hooks : {}) },
  expect: always({
    ...expected,
    also: (t, builder, where, answer) => {
      expected.also?.(t, builder, where, answer)
      t.match(answer.client.checks[check], outcome, `${builder.name}: ${check}`)
    },
  }),
})
const hooks = {
  before:
    'printf "#!/no/sh\\n" >/lab/share/hook; chmod 755 /lab/share/hook; printf x >/lab/share/plain',
}
const brokenSetting = { status: 'failed', kind: 'setting_broken' }
const notStarted = { status: 'failed', kind: 'build_not_started' }
const localOnly = { status: 'degraded', kind: 'local_builds_broken' }
/** A plugin that cannot be loaded ends nix-store as well, so that the input of the canary is missing. */
const hookBroken = verifiedDirectly(/^(?:hook_broken|client_nix_broken)$/)
const malformed = down('config_invalid', 'client', /builder-monitor builders/)

export const clientRows: readonly Row[] = [
  {
    name: 'a plugin that does not exist',
    ...withSetting('plugin-files = /nonexistent', hookBroken, 'settings', brokenSetting),
  },
  {
    name: 'a plugin that cannot be loaded',
    ...withSetting('plugin-files = /lab/share/plain', hookBroken, 'hook', notStarted),
  },
  {
    name: 'a build hook that does not exist',
    ...withSetting('build-hook = /nonexistent', hookBroken, 'settings', brokenSetting),
  },
  {
    name: 'a build hook that is not the one of Nix',
    ...withSetting('build-hook = /bin/true', hookBroken, 'hook', notStarted),
  },
  {
    name: 'no build hook',
    ...withSetting('build-hook =', hookBroken, 'settings', brokenSetting),
  },
  {
    name: 'a post-build-hook whose interpreter does not exist',
    ...withSetting(
      'post-build-hook = /lab/share/hook',
      healthy,
      'settings',
      brokenSetting,
    ),
  },
  ...[
    ['always ends with an error', '#!/bin/sh\\nexit 1\\n'],
    ['has a syntax error', '#!/bin/sh\\nif\\n'],
    ['runs a program that does not exist', '#!/bin/sh\\nset -e\\nnosuch -x\\n'],
  ].map(([name, text]): Row => ({
    name: `a post-build-hook that ${name}`,
    ...withSetting(
      'post-build-hook = /lab/share/hook',
      healthy,
      'settings',
      brokenSetting,
    ),
    from: {
      config: 'post-build-hook = /lab/share/hook',
      before: `printf '${text}' >/lab/share/hook; chmod 755 /lab/share/hook`,
    },
  })),
  {
    name: 'a post-build-hook that succeeds',
    from: {
      config: 'post-build-hook = /lab/share/good-hook',
      before:
        "printf '#!/bin/sh\\nset -eu\\necho $OUT_PATHS\\n' >/lab/share/good-hook; chmod 755 /lab/share/good-hook",
    },
    expect: always(
      healthyAnd((t, { name }, _, { client }) =>
        t.equal(client.checks['settings']?.status, 'ok', name),
      ),
    ),
  },
  {
    name: 'a post-build-hook on a filesystem without programs',
    from: {
      config: 'post-build-hook = /mnt/noexec/hook',
      before:
        "mkdir -p /mnt/noexec; mount -t tmpfs -o noexec noexec /mnt/noexec; printf '#!/bin/sh\\n' >/mnt/noexec/hook; chmod 755 /mnt/noexec/hook",
      after: 'umount /mnt/noexec',
    },
    clients: nodeClients,
    expect: always(
      healthyAnd((t, { name }, _, { client }) =>
        t.match(client.checks['settings'], brokenSetting, name),
      ),
    ),
  },
  {
    name: 'a limit of one byte for build logs',
    ...withSetting('max-build-log-size = 1', healthy, 'settings', brokenSetting),
  },
  {
    name: 'a store that Nix does not know',
    ...withSetting('store = nonsense://x', healthy, 'hook', notStarted),
  },
  {
    name: 'a key for signatures that does not exist',
    ...withSetting('secret-key-files = /nonexistent', healthy, 'settings', localOnly),
  },
  {
    name: 'a binary cache that refuses',
    ...withSetting('substituters = http://127.0.0.1:1', healthy, 'substituters', {
      status: 'degraded',
      kind: 'substituter_unreachable',
    }),
  },
  {
    name: 'a binary cache that drops all packets',
    isLong: true,
    from: {
      config: 'substituters = http://127.0.0.1:9099',
      before:
        "nft add table inet hang; nft add chain inet hang out '{ type filter hook output priority 0; }'; nft add rule inet hang out tcp dport 9099 drop",
      after: 'nft delete table inet hang',
    },
    clients: nodeClients,
    expect: always(
      healthyAnd((t, { name }, _, { client }) => {
        // The wait depends on connect-timeout of this client
        const expected = { status: /failed|degraded/, kind: 'substituter_unreachable' }
        t.match(client.checks['substituters'], expected, name)
      }),
    ),
  },
  {
    name: 'a substituter over ssh that refuses',
    ...withSetting(
      'substituters = ssh-ng://root@127.0.0.1:1',
      healthy,
      'substituters',
      brokenSetting,
    ),
  },
  {
    name: 'a substituter over ssh that has no address',
    ...withSetting(
      'substituters = ssh://root@nosuch.invalid',
      healthy,
      'substituters',
      brokenSetting,
    ),
  },
  {
    name: 'a list with only a line that requires a feature',
    from: {
      config: 'max-jobs = 0',
    },
    line: () => ({ mandatory: 'big-parallel', features: 'big-parallel' }),
    expect: always(
      healthyAnd((t, { name }, _, { client }) => {
        const expected = { status: 'failed', kind: 'no_plain_builder' }
        t.match(client.checks['capacity'], expected, name)
      }),
    ),
  },
  {
    name: 'a store directory that no builder has',
    from: { env: { NIX_STORE_DIR: '/odd/store' } },
    expect: always(
      healthyAnd((t, { name }, _, { client }) => {
        const expected = { status: 'failed', kind: 'store_elsewhere' }
        t.match(client.checks['settings'], expected, name)
      }),
    ),
  },
  {
    name: 'a line without slots',
    line: () => ({ jobs: 0 }),
    expect: always({
      state: 'degraded',
      kind: 'no_slots',
      side: 'client',
      fix: /at least 1 in field 4/,
    }),
  },
  {
    name: 'an option that ssh does not know in NIX_SSHOPTS',
    from: { env: { NIX_SSHOPTS: '-o NoSuchOption=1' } },
    expect: always(down('ssh_config_invalid', 'client', /NIX_SSHOPTS/)),
  },
  {
    name: 'an ssh_config that ssh cannot read',
    from: {
      env: { NIX_SSHOPTS: '-F /lab/share/bad_ssh_config' },
      before: 'printf "Host *\\n  Prot 22\\n" >/lab/share/bad_ssh_config',
    },
    expect: always(
      down('ssh_config_invalid', 'client', /sed -i 2s.* \/lab\/share\/bad_ssh_config/),
    ),
  },
  ownSshConfig('chown plain', down('ssh_config_invalid', 'client', rootOwns)),
  ownSshConfig('chmod 666', down('ssh_config_invalid', 'client', rootOwns)),
  ownSshConfig('chmod 644', healthy),
  {
    name: 'a malformed line next to valid ones',
    from: { extra: ['ssh-ng://remotebuild@b1 x86_64-linux /lab/keys/id many'] },
    expect: always(malformed),
  },
  {
    name: 'no local nix',
    from: {
      env: { PATH: '/lab/bin:/lab/share/nonix' },
      before:
        'mkdir -p /lab/share/nonix; ln -sf /usr/bin/ssh /usr/bin/sh /lab/share/nonix/',
    },
    noBuild: 'there is no nix-build',
    expect: always({
      state: 'healthy',
      kind: null,
      also: (t, builder, where, answer) => {
        withoutCanary('no_local_nix')(t, builder, where, answer)
        t.equal(builder.probes.direct?.status, 'ok', `${builder.name}: direct build`)
        t.ok(builder.verified, `${builder.name} is verified`)
      },
    }),
  },
  {
    name: 'no ssh program',
    from: {
      env: { PATH: '/lab/bin:/lab/share/nossh' },
      before:
        'mkdir -p /lab/share/nossh; ln -sf /usr/bin/sh /usr/bin/nix* /usr/bin/chmod /lab/share/nossh/',
    },
    expect: always(down('ssh_missing', 'client', /openssh-client/)),
  },
  {
    name: 'an unprivileged user with a key of its own',
    clients: nodeClients,
    from: plain,
    line: ownKey,
    expect: always(healthy),
  },
  {
    name: 'a key that this user may not read',
    clients: nodeClients,
    from: plain,
    expect: always({
      state: 'unknown',
      kind: 'key_not_accessible',
      side: 'client',
      fix: /LoadCredential/,
    }),
  },
  {
    name: 'a host key that this user knows and root does not',
    clients: nodeClients,
    from: {
      ...plain,
      // Readable, as with CAP_DAC_READ_SEARCH
      before: `${plain.before}; install -d -m 711 /root /root/.ssh; install -d -o plain /home/plain/.ssh; for n in b1 b2 b3; do echo "unknown.$n $(cut -d' ' -f1,2 /lab/keys/host_$n.pub)"; done >/home/plain/.ssh/known_hosts`,
    },
    line: ({ node }) => ({ ...ownKey(), host: `unknown.${node}` }),
    expect: always(
      differentIdentity(
        /^the ssh settings of root differ.*known_hosts is \/root\/.ssh\/known_hosts without/,
      ),
    ),
  },
  {
    name: 'NIX_SSHOPTS that nix-daemon does not have',
    clients: nodeClients,
    ssh: ({ node }) => [`HostName ${node}`, `HostKeyAlias ${node}`],
    expect: always(
      differentIdentity(
        /^the ssh settings of nix-daemon differ.* is \S+ for nix-daemon, \S+ for this service/,
      ),
    ),
  },
  {
    name: 'a canary through the local nix-daemon',
    clients: nodeClients,
    from: { args: daemonMode },
    expect: always(healthy),
  },
  {
    name: 'a canary through a local nix-daemon that does not trust us',
    clients: nodeClients,
    from: { ...plain, args: daemonMode },
    line: ownKey,
    expect: always({
      state: 'healthy',
      kind: null,
      also: withoutCanary('client_untrusted'),
    }),
  },
  {
    name: 'a TMPDIR that does not exist',
    clients: nodeClients,
    from: { env: { TMPDIR: '/nowhere/tmp' } },
    expect: always(withoutTemp),
  },
  {
    name: 'a TMPDIR that is read-only',
    clients: nodeClients,
    from: {
      env: { TMPDIR: '/sys' },
    },
    expect: always(withoutTemp),
  },
  {
    name: 'a full TMPDIR',
    clients: nodeClients,
    from: {
      env: { TMPDIR: '/mnt/full' },
      before: 'mkdir -p /mnt/full; mount -t tmpfs -o size=64k,nr_inodes=1 full /mnt/full',
      after: 'umount /mnt/full',
    },
    expect: always(verifiedDirectly(/^client_disk_full$/)),
  },
  {
    name: 'no network here',
    clients: ['c2'],
    from: { before: 'ip link set eth0 down', after: 'ip link set eth0 up' },
    expect: always({
      state: 'unknown',
      kind: 'client_offline',
      side: 'client',
      fix: /ip route/,
    }),
  },
  {
    name: 'no network here except a container bridge',
    clients: ['c2'],
    from: {
      before:
        'ip link set eth0 down; ip link add br0 type bridge; ip addr add 172.17.0.1/16 dev br0; ip link set br0 up',
      after: 'ip link del br0; ip link set eth0 up',
    },
    expect: always({
      state: 'unknown',
      kind: 'client_offline',
      side: 'client',
      fix: /ip route/,
    }),
  },
  {
    name: 'this machine itself as a builder',
    clients: nodeClients,
    on: ['b1'], // not used
    line: () => ({ host: 'localhost', user: '', key: '-' }),
    // A real build there waits for its own lock until it is ended
    expect: always({
      state: 'down',
      kind: 'same_store',
      side: 'client',
      fix: /Remove the line/,
      also: (t, { name, probes }) => {
        t.equal(probes.login?.kind, 'not_ssh_store', `${name}: needs no ssh`)
        t.equal(probes.canary?.status, 'ok', `${name}: the canary has its own store`)
      },
    }),
  },
  {
    name: 'this machine itself as a builder, over ssh',
    clients: ['c3'],
    on: ['b1'], // not used
    line: () => ({ host: 'c3', user: 'root' }),
    expect: always(down('same_store', 'client', /Remove the line/)),
  },
]
