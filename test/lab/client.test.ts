/** Client checks and findings of `check --json` in the real lab. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Finding } from '../../src/model/index.ts'
import type { Report } from '../../src/diagnosis/report.ts'
import {
  atClient,
  check,
  heal,
  inNode,
  keysDir,
  machineLine,
  uriOf,
  waitFor,
  type CheckOptions,
  type Line,
} from './support.ts'

const skip = process.env['LAB'] !== '1' && 'needs the lab: npm run test:lab'
const client = 'c3'
const good: Line = { scheme: 'ssh-ng', host: 'b3' }

const runCheck = async (options: Partial<CheckOptions> = {}) => {
  const ran = await check({
    client,
    lines: [good],
    args: ['check', '--json'],
    ...options,
  })
  return { ...ran, report: ran.answer as unknown as Report }
}
/** A shell whose agent has the key, while nix-daemon has no agent. */
const withAgent =
  "eval $(ssh-agent) >/dev/null; trap 'kill $SSH_AGENT_PID' EXIT; ssh-add -q /lab/keys/id;"
const atClientOk = async (command: string) => {
  const ran = await atClient(client, command)
  if (ran.exit !== 0) throw new Error(`${command}: ${ran.stderr}`)
}

void t.test('the client', { skip }, async t => {
  await t.test('is ready when everything works', async t => {
    const { report } = await runCheck()
    t.equal(report.client.ready, true)
    t.equal(report.client.checks['daemon']?.status, 'ok')
    t.equal(report.client.checks['keys']?.status, 'ok')
  })

  await t.test('is down if the only builder line is malformed', async t => {
    const extra = [machineLine(good).replace(' 2 1 ', ' two 1 ')]
    const json = await runCheck({ lines: [], extra })
    t.equal(json.exit, 2, 'every build fails')
    t.equal(json.report.state, 'down')
    t.match(json.report.client, {
      ready: false,
      checks: { config: { status: 'failed', kind: 'config_invalid', reason: /'two'/ } },
    })
  })

  await t.test('reports an unused machines file', async t => {
    await atClientOk(`echo '${machineLine(good)}' >/etc/nix/machines`)
    t.teardown(() => atClientOk('rm -f /etc/nix/machines'))
    // The last setting wins
    const { report } = await runCheck({ config: 'builders =' })
    t.match(report.client.checks['config'], {
      status: 'degraded',
      kind: 'machines_unused',
      reason: /\/etc\/nix\/machines/,
    })
  })

  await t.test('reports a nix.conf that is newer than nix-daemon', async t => {
    t.teardown(() => atClientOk('touch -d @1 /etc/nix/nix.conf'))
    const checks = await waitFor('a daemon older than nix.conf', 10, async () => {
      await atClientOk('touch /etc/nix/nix.conf')
      const { report } = await runCheck()
      const { daemon } = report.client.checks
      return daemon?.status === 'ok' ? null : report.client.checks
    })
    t.match(checks['daemon'], {
      status: 'degraded',
      kind: 'daemon_restart_needed',
      reason: /^\/etc\/nix\/nix\.conf/,
    })
  })

  await t.test('is not ready without the socket of nix-daemon', async t => {
    const socket = '/nix/var/nix/daemon-socket/socket'
    await atClientOk(`mv ${socket} ${socket}.off; touch -d @1 /etc/nix/nix.conf`)
    t.teardown(() => atClientOk(`mv ${socket}.off ${socket}`))
    const { report } = await runCheck({ as: 'remotebuild' })
    t.equal(report.client.ready, false)
    t.match(report.client.checks['daemon'], {
      status: 'failed',
      kind: 'client_daemon_down',
      fixes: [{ command: /stop start; do systemctl \$verb nix-daemon/ }],
    })
  })

  await t.test('reports that only our agent has the key', async t => {
    for (const [key, identity] of [
      [
        '-',
        { status: 'degraded', kind: 'ssh_settings_differ', reason: /agent is nothing/ },
      ],
      ['/lab/keys/wrong', { status: 'degraded', reason: /agent is nothing/ }],
      ['/lab/keys/id', { status: 'ok' }],
    ] as const) {
      const config = `builders = ${machineLine({ ...good, key })}`
      const { stdout } = await atClient(
        client,
        `${withAgent} NIX_CONFIG='${config}' node /lab/project/dist/main.js check --json`,
      )
      const report = JSON.parse(stdout) as Report
      t.equal(report.builders[0]?.state, 'healthy', `${key}: our login works`)
      t.match(report.client.checks['identity'], identity, key)
    }
  })

  await t.test('reports a build that works only with our agent', async t => {
    const line = machineLine({ ...good, key: '-' })
    const { stdout } = await atClient(
      client,
      `${withAgent} NIX_CONFIG='builders = ${line}' node /lab/project/dist/main.js check --canary --canary-mode daemon --json`,
    )
    const report = JSON.parse(stdout) as Report
    t.match(report.builders, [
      {
        state: 'degraded',
        cause: { kind: 'daemon_build_fails', side: 'client' },
        probes: { login: { status: 'ok' }, canary: { kind: 'daemon_build_fails' } },
      },
    ])
  })

  await t.test('reports a key that others can read', async t => {
    const { report } = await runCheck({ lines: [{ ...good, key: '/lab/keys/open' }] })
    t.match(report.client.checks['keys'], {
      kind: 'key_permissions',
      fixes: [{ command: /chmod 600 \/lab\/keys\/open/ }],
    })
  })
})

void t.test('reports findings about real builders', { skip }, async t => {
  t.teardown(() => heal('b3'))
  await inNode('b3', 'echo "min-free = 1048576" >/etc/nix/lab.conf')
  const wide = machineLine({ ...good, host: 'v1.b3' }).replace(' 2 1 ', ' 11 1 ')
  const { report } = await runCheck({ extra: [wide] })
  const findingOf = (rule: string, name: string): Finding | undefined =>
    report.findings.find(finding => finding.rule === rule && finding.builder === name)
  const nameOf = (host: string) =>
    report.builders.find(({ storeUri }) => storeUri === uriOf({ ...good, host }))?.name ??
    ''
  t.match(findingOf('min_free_tiny', nameOf('b3')), {
    message: /min-free of 1 MiB is too small/,
    fix: /^min-free = \d{8,}\nmax-free = \d{8,}$/,
  })
  t.match(findingOf('max_jobs_above_build_users', nameOf('v1.b3')), {
    message: /advertises 11 slots.*10 build users/,
    fix: wide.replace(' 11 1 ', ' 10 1 '),
  })
  t.equal(findingOf('max_jobs_above_build_users', nameOf('b3')), undefined)
  const pin = findingOf('host_key_unpinned', nameOf('b3'))?.fix.split(' ').at(-1) ?? ''
  const key = readFileSync(join(keysDir, 'host_b3.pub'), 'utf8').split(' ', 2).join(' ')
  t.equal(
    Buffer.from(pin, 'base64').toString().trim(),
    key,
    'the suggested pin is the host key of the builder',
  )
})
