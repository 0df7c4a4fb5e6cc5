/**
 * `check --canary --json` against real builders with real faults: for both protocols, three versions of Nix on the
 * builders, and two where the builds are sent from.
 */
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Side } from '../../src/diagnosis/kinds.ts'
import type { CanaryValue, LoginValue, State } from '../../src/model.ts'
import {
  atClient,
  builders,
  check,
  clientNames,
  clients,
  fault,
  heal,
  inNode,
  labNet,
  nodes,
  schemes,
  shared,
  uriOf,
  type BuilderAnswer,
  type Client,
  type Line,
  type Node,
  type Scheme,
} from './support.ts'

t.setTimeout(900_000)

/** What a row expects of a builder. */
interface Expected {
  readonly state: State
  /** `null` where nothing is wrong. */
  readonly kind: string | null
  readonly side?: Side
  /** Words of the hint that name the mend. */
  readonly hint?: RegExp
  /** More that has to hold. */
  readonly also?: (t: Test, builder: BuilderAnswer, where: Where) => void
}
interface Where {
  readonly client: Client
  readonly node: Node
  readonly scheme: Scheme
}

const holds = (t: Test, builder: BuilderAnswer, expected: Expected, where: Where) => {
  const { state, cause } = builder
  const label = `${where.scheme} from Nix ${clients[where.client as 'host']} to ${builders[where.node]}`
  const kind = cause?.kind ?? null
  const wanted = { state: expected.state, kind: expected.kind, side: expected.side }
  const found = { state, kind, side: cause?.side }
  t.strictSame(found, wanted, `${label}: ${expected.state} ${expected.kind ?? ''}`, {
    uri: builder.storeUri,
    reason: cause?.reason,
    evidence: cause?.evidence,
  })
  if (expected.hint)
    t.match(cause?.hint ?? 'no hint', expected.hint, `${label}: the hint names the mend`)
  expected.also?.(t, builder, where)
}

const exitOf: Readonly<Partial<Record<State, number>>> = {
  healthy: 0,
  degraded: 1,
  down: 2,
  unknown: 3,
}

const healthy: Expected = {
  state: 'healthy',
  kind: null,
  also: (t, builder, { node }) => {
    const runs = (builder.probes.canary?.value as CanaryValue | undefined)?.runs ?? []
    t.ok(builder.proven, `${builder.name} is proven`)
    t.equal(runs[0]?.builtBy, node, `${builder.name}: the build happened on ${node}`)
  },
}
const down = (kind: string, side: Side, hint: RegExp): Expected => ({
  state: 'down',
  kind,
  side,
  hint,
})

// ------------------------------------------------------------------------------------ what the machine line gets wrong

interface LineRow {
  readonly line: (where: Where) => Partial<Line>
  readonly expect: (where: Where) => Expected
}
const hostKeyOf = (node: Node, name = 'host') =>
  Buffer.from(
    readFileSync(
      join(process.env['LAB_DIR'] || '/tmp/builder-lab', 'keys', `${name}_${node}.pub`),
    ),
  ).toString('base64')
const always = (expected: Expected) => () => expected

const lineRows: Readonly<Record<string, LineRow>> = {
  'a healthy builder': { line: () => ({}), expect: always(healthy) },
  'a pinned host key that is right': {
    line: ({ node }) => ({ host: `pinned.${node}`, hostKey: hostKeyOf(node) }),
    expect: always({
      ...healthy,
      also: (t, builder, where) => {
        const login = builder.probes.login?.value as LoginValue | undefined
        t.equal(login?.hostKey?.verifiedBy, 'pinned', `${builder.name}: the pin decided`)
        healthy.also?.(t, builder, where)
      },
    }),
  },
  'a pinned host key that is wrong': {
    line: ({ node }) => ({
      host: `mispinned.${node}`,
      hostKey: hostKeyOf(node, 'newhost'),
    }),
    expect: always(down('host_key_mismatch', 'security', /field 8.*base64 -w0/)),
  },
  // Nix hands the pin to ssh as UserKnownHostsFile, and GlobalKnownHostsFile still counts
  'a wrong pin where ssh_known_hosts has the right key': {
    line: ({ node }) => ({ hostKey: hostKeyOf(node, 'newhost') }),
    expect: always(healthy),
  },
  'a key that the builder does not accept': {
    line: () => ({ key: '/lab/keys/wrong' }),
    expect: ({ node }) =>
      down(
        'auth_denied',
        'client',
        new RegExp(`ssh-copy-id -i /lab/keys/wrong remotebuild@\\S*${node}`),
      ),
  },
  'a key with a passphrase': {
    line: () => ({ key: '/lab/keys/locked' }),
    expect: always(
      down('key_encrypted', 'client', /ssh-keygen -p .*\/lab\/keys\/locked/),
    ),
  },
  'a key that does not exist': {
    line: () => ({ key: '/lab/keys/nosuch' }),
    expect: always(down('key_missing', 'client', /ssh-keygen -t .*\/lab\/keys\/nosuch/)),
  },
  'a key file that is no key': {
    line: () => ({ key: '/lab/keys/notakey' }),
    expect: always(
      down('key_unreadable', 'client', /ssh-keygen -y -f \/lab\/keys\/notakey/),
    ),
  },
  'a key that others may read': {
    line: () => ({ key: '/lab/keys/open' }),
    expect: always(down('key_permissions', 'client', /chmod 600 \/lab\/keys\/open/)),
  },
  'an unknown host key': {
    line: ({ node }) => ({ host: `unknown.${node}` }),
    expect: always(
      down('host_key_unknown', 'client', /ssh-keygen -lf.*unknown\.b\d true.*field 8/s),
    ),
  },
  'another host key in known_hosts': {
    line: ({ node }) => ({ host: `changed.${node}` }),
    expect: ({ node }) =>
      down('host_key_changed', 'security', new RegExp(`ssh-keygen -R changed\\.${node}`)),
  },
  'a revoked host key': {
    line: ({ node }) => ({ host: `revoked.${node}` }),
    expect: always(down('host_key_revoked', 'security', /new host key.*ssh-keygen -A/)),
  },
  'a user that the builder does not trust': {
    line: () => ({ user: 'plain' }),
    expect: always(down('not_trusted', 'remote', /add plain to trusted-users/)),
  },
  'a user that may not use the daemon': {
    line: () => ({ user: 'outsider' }),
    expect: always(down('daemon_denied', 'remote', /usermod -aG nix-users outsider/)),
  },
  'a user that does not exist': {
    line: () => ({ user: 'nobodyhome' }),
    expect: always(down('auth_denied', 'client', /authorized_keys/)),
  },
  'a user without a login shell': {
    line: () => ({ user: 'noshell' }),
    expect: always(down('nologin', 'remote', /usermod -s \S+ noshell/)),
  },
  'a forced command for ssh-ng': {
    line: () => ({ user: 'forced' }),
    expect: ({ scheme }) =>
      scheme === 'ssh-ng'
        ? { ...healthy, also: withoutShell }
        : down('protocol_mismatch', 'remote', /ssh-ng:\/\/ for nix-daemon --stdio/),
  },
  'a forced command for ssh': {
    line: () => ({ user: 'forcedserve' }),
    expect: ({ scheme }) =>
      scheme === 'ssh'
        ? { ...healthy, also: withoutShell }
        : down('protocol_mismatch', 'remote', /ssh:\/\/ for nix-store --serve/),
  },
  'a feature that the builder has not': {
    line: () => ({ features: 'big-parallel,lab-nope' }),
    expect: always({
      state: 'degraded',
      kind: 'feature_missing',
      side: 'remote',
      hint: /lab-nope out of the machine line.*system-features/,
    }),
  },
  'a system that the builder has not': {
    line: () => ({ systems: 'riscv64-linux' }),
    expect: always(down('system_missing', 'remote', /extra-platforms = riscv64-linux/)),
  },
  'one system of two that the builder has not': {
    line: () => ({ systems: 'x86_64-linux,riscv64-linux' }),
    expect: always({
      state: 'degraded',
      kind: 'system_missing',
      side: 'remote',
      hint: /extra-platforms = riscv64-linux/,
    }),
  },
  'a first address that is dead': {
    line: ({ node }) => ({ host: `twice.${node}` }),
    expect: always({
      state: 'degraded',
      kind: 'dead_address',
      side: 'network',
      hint: /getent ahosts twice\.b\d/,
    }),
  },
  'a name without an address': {
    line: ({ node }) => ({ host: `nowhere-${node}.invalid` }),
    expect: always(down('dns', 'client', /getent ahosts nowhere-/)),
  },
  'an address that nobody has': {
    line: ({ node }) => ({ host: `${labNet}.19${nodes.indexOf(node)}` }),
    expect: always(down('tcp_unreachable', 'network', /ip route get/)),
  },
}
const withoutShell: NonNullable<Expected['also']> = (t, builder, where) => {
  healthy.also?.(t, builder, where)
  for (const probe of ['disk', 'memory'] as const) {
    const { status, kind } = builder.probes[probe] ?? {}
    t.equal(status, 'skipped', `${builder.name}: ${probe} is skipped, not failed`)
    t.match(kind, /^(forced_command|no_shell)$/, `${builder.name}: and says why`)
  }
}

void t.test('what a machine line can get wrong', async t => {
  const rows = Object.entries(lineRows).map(([name, row], i) => ({ name, row, i }))
  const each = (client: Client) =>
    rows.flatMap(({ name, row, i }) =>
      nodes.flatMap(node =>
        schemes.map(scheme => {
          const where = { client, node, scheme }
          const line: Line = { scheme, host: `v${i + 1}.${node}`, ...row.line(where) }
          return { name, line, expected: row.expect(where), where }
        }),
      ),
    )
  const asked = await Promise.all(
    clientNames.map(async client => {
      const wanted = each(client)
      const answer = await check({ client, lines: wanted.map(({ line }) => line) })
      return { client, wanted, answer }
    }),
  )
  for (const { client, answer } of asked) {
    t.equal(answer.exit, 2, `${client}: the worst is down`)
    t.comment(
      `${client}: ${answer.answer.builders.length} builders in ${answer.seconds.toFixed(1)} s`,
    )
  }
  for (const { name } of rows)
    await t.test(name, t => {
      for (const { wanted, answer } of asked)
        for (const { line, expected, where } of wanted.filter(w => w.name === name))
          holds(t, answer.of(line), expected, where)
      t.end()
    })
})

// --------------------------------------------------------------------------------------------- what a builder can have

interface FaultRow {
  readonly faults: readonly string[]
  readonly on?: readonly Node[]
  readonly env?: Readonly<Record<string, string>>
  readonly line?: (where: Where) => Partial<Line>
  readonly expect: (where: Where) => Expected
  /** Holds while the fault does. */
  readonly during?: (t: Test, node: Node) => Promise<void>
}

const restart = /systemctl (re)?start/
const faultRows: Readonly<Record<string, FaultRow>> = {
  'sshd stopped': {
    faults: ['sshd-stop'],
    expect: always(down('tcp_refused', 'remote', /systemctl start sshd/)),
  },
  "sshd's listener killed with a session alive": {
    faults: ['session', 'sshd-listener'],
    expect: always(down('tcp_refused', 'remote', /systemctl start sshd/)),
    during: async (t, node) => {
      const alive = await inNode(node, 'pgrep -u remotebuild -f lab-session | wc -l')
      t.ok(Number(alive) > 0, `the session on ${node} is still alive`)
    },
  },
  'sshd frozen': {
    faults: ['sshd-freeze'],
    expect: always(down('banner_timeout', 'remote', restart)),
  },
  'sshd turning logins away': {
    faults: ['sshd-throttle'],
    expect: always({
      state: 'unknown',
      kind: 'sshd_throttled',
      side: 'remote',
      hint: /MaxStartups/,
    }),
  },
  'a black hole': {
    faults: ['blackhole'],
    expect: always(down('tcp_timeout', 'network', /ping/)),
  },
  'a link that is down': {
    faults: ['link-down'],
    expect: always(down('tcp_unreachable', 'network', /ip route get/)),
  },
  'a firewall that rejects': {
    faults: ['reject'],
    expect: always(down('tcp_unreachable', 'network', /ip route get/)),
  },
  'a tarpit': {
    faults: ['tarpit'],
    expect: always(down('banner_timeout', 'remote', restart)),
  },
  'a web server on the port': {
    faults: ['garbage'],
    expect: always(down('not_ssh', 'remote', /Check host and port.*nc /)),
  },
  'a web server on the port that hangs up': {
    faults: ['garbage-close'],
    expect: always(down('not_ssh', 'remote', /Check host and port.*nc /)),
  },
  'random bytes on the port': {
    faults: ['binary'],
    expect: always(down('not_ssh', 'remote', /Check host and port.*nc /)),
  },
  'a new host key': {
    faults: ['hostkey'],
    expect: ({ node }) =>
      down('host_key_changed', 'security', new RegExp(`ssh-keygen -R ${node}`)),
  },
  'a new host key where the old one is pinned': {
    faults: ['hostkey'],
    line: ({ node }) => ({ hostKey: hostKeyOf(node) }),
    expect: always(down('host_key_mismatch', 'security', /field 8.*base64 -w0/)),
  },
  'no common key exchange': {
    faults: ['kex'],
    expect: always(down('kex_mismatch', 'remote', /Update the older side/)),
  },
  'no authorized key': {
    faults: ['no-auth'],
    expect: always(down('auth_denied', 'client', /ssh-copy-id -i \/lab\/keys\/id/)),
  },
  'a shell that prints': {
    faults: ['noisy-shell'],
    expect: always(down('shell_noise', 'remote', /only in interactive shells/)),
  },
  'no nix in PATH': {
    faults: ['no-nix'],
    expect: always(down('nix_missing', 'remote', /remote-program=/)),
  },
  'a nix that may not be executed': {
    faults: ['nix-noexec'],
    expect: always(down('nix_not_executable', 'remote', /permissions/)),
  },
  'nix-daemon stopped': {
    faults: ['daemon-stop'],
    expect: always(down('daemon_down', 'remote', /restart nix-daemon\.socket/)),
  },
  'nix-daemon stopped and its socket gone': {
    faults: ['daemon-nosocket'],
    expect: always(down('daemon_down', 'remote', /restart nix-daemon\.socket/)),
  },
  'nix-daemon frozen': {
    faults: ['daemon-freeze'],
    expect: always(down('daemon_frozen', 'remote', /restart nix-daemon\.socket/)),
  },
  'nix that ends in the middle of the handshake': {
    faults: ['daemon-crash'],
    expect: always(down('daemon_crash', 'remote', /journalctl -u nix-daemon/)),
  },
  'a daemon that does not allow the user': {
    faults: ['not-allowed'],
    expect: always(down('daemon_denied', 'remote', /add remotebuild to allowed-users/)),
  },
  'a full store': {
    faults: ['disk-full'],
    expect: always(down('disk_full', 'remote', /nix-collect-garbage/)),
  },
  'a store without inodes': {
    faults: ['inodes-full'],
    expect: always(down('inodes_full', 'remote', /nix-collect-garbage.*df -i/)),
  },
  'a store below min-free': {
    faults: ['low-space'],
    expect: always({
      state: 'degraded',
      kind: 'below_min_free',
      side: 'remote',
      hint: /nix-collect-garbage/,
    }),
  },
  'a read-only store': {
    faults: ['store-ro'],
    expect: always(down('store_read_only', 'remote', /remount,rw/)),
  },
  'a sandbox without /bin/sh': {
    faults: ['no-sh'],
    expect: always({
      state: 'healthy',
      kind: null,
      also: (t, builder) => {
        const { runs } = (builder.probes.canary?.value ?? { runs: [] }) as CanaryValue
        t.equal(
          runs[0]?.systemProven,
          false,
          `${builder.name}: it says what is not proven`,
        )
      },
    }),
  },
  'a host key that ssh is told to accept unseen': {
    faults: [],
    env: {
      NIX_SSHOPTS: '-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null',
    },
    line: ({ node }) => ({ host: `unknown.${node}` }),
    expect: always({
      state: 'degraded',
      kind: 'host_key_unpinned',
      side: 'security',
      hint: /field 8/,
    }),
  },
}

void t.test('what a builder can have', async t => {
  for (const [name, row] of Object.entries(faultRows))
    await t.test(name, async t => {
      const on = row.on ?? nodes
      try {
        await Promise.all(
          on.map(async node => {
            for (const each of row.faults) await fault(node, each)
          }),
        )
        await Promise.all(
          clientNames.map(async client => {
            const wanted = on.flatMap(node =>
              schemes.map(scheme => {
                const where = { client, node, scheme }
                const line: Line = { scheme, host: node, ...row.line?.(where) }
                return { line, where, expected: row.expect(where) }
              }),
            )
            const lines = wanted.map(({ line }) => line)
            const answer = await check({
              client,
              lines,
              ...(row.env && { env: row.env }),
            })
            for (const { line, where, expected } of wanted)
              holds(t, answer.of(line), expected, where)
            const states = new Set(wanted.map(({ expected }) => expected.state))
            if (states.size === 1)
              t.equal(
                answer.exit,
                exitOf[[...states][0] ?? 'unknown'],
                `${client}: exit code`,
              )
            t.comment(`${client}: ${answer.seconds.toFixed(1)} s`)
          }),
        )
        if (row.during) for (const node of on) await row.during(t, node)
      } finally {
        if (row.faults.length) await Promise.all(on.map(heal))
      }
    })
})

// ------------------------------------------------------------------------------------------- what a canary leaves alone

for (const client of clientNames)
  void t.test(`from Nix ${clients[client]} a canary`, async t => {
    const lines = nodes.flatMap(node =>
      schemes.map((scheme): Line => ({ scheme, host: node })),
    )
    const dir = await shared()
    const hook = join(dir.outside, 'hook')
    const called = `${dir.inside}/called`
    const config = `post-build-hook = ${dir.inside}/hook`
    await writeFile(hook, `#!/bin/sh\necho "$DRV_PATH $OUT_PATHS" >>${called}\n`, {
      mode: 0o755,
    })

    await t.test('ends well and leaves nothing here', async t => {
      // the local store is only looked at: a canary has one of its own
      const look =
        'ls -A /tmp; ls -A /nix/store /nix/var/nix/gcroots/auto 2>/dev/null; ls -A /root' +
        (client === 'host' ? '' : '; ps -e -o comm= | grep -v -x -e ps -e sh | sort')
      const before = await atClient(client, look)
      const answer = await check({ client, lines })
      const after = await atClient(client, look)
      t.equal(answer.exit, 0, 'the fleet is healthy', { stderr: answer.stderr })
      t.equal(after.stdout, before.stdout, 'no file, no store path, no root, no process')
    })
    await t.test('does not reach a post-build-hook', async t => {
      const answer = await check({ client, lines, config })
      t.equal(answer.answer.state, 'healthy', 'the hook is no obstacle')
      t.ok(
        answer.answer.builders.every(b => b.proven),
        'every builder built',
      )
      const seen = await atClient(client, `cat ${called}`)
      t.equal(seen.stdout, '', 'the hook saw no canary')
      const nonce = Math.random().toString(36)
      const drv = `derivation { name = "hook"; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo > $out" ]; n = "${nonce}"; }`
      const built = await atClient(client, `nix-build --no-out-link -E '${drv}'`, {
        NIX_CONFIG: `${config}\nbuilders =`,
      })
      const control = await atClient(client, `cat ${called}`)
      t.match(control.stdout, /-hook/, 'and yet it works', { stderr: built.stderr })
    })
    await dir.drop()
  })

void t.test('only the builders that are named are asked', async t => {
  const lines = nodes.map((node): Line => ({ scheme: 'ssh-ng', host: node }))
  const answer = await check({
    client: 'c3',
    lines,
    args: ['check', 'b2', '--canary', '--json'],
  })
  t.strictSame(
    answer.answer.builders.map(b => b.storeUri),
    lines.filter(({ host }) => host === 'b2').map(uriOf),
  )
})
