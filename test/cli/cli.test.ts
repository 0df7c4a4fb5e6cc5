import { execFileSync } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import type { Report } from '../../src/diagnosis/report.ts'
import { conf, run, scratch, start } from './support.ts'

// Most of the time is waiting for processes
t.jobs = 4

t.test('prints help and version', async t => {
  t.match(await run(['--help']), {
    code: 0,
    stdout: /check \[options\] \[BUILDER\.\.\.\]/,
  })
  t.match(await run([]), { code: 0, stdout: /Usage: builder-monitor/ })
  for (const option of ['--version', '-V'])
    t.match(await run([option]), { code: 0, stdout: /^builder-monitor \d/ })
  const help = { code: 0, stdout: /--canary[^]*Example:[^]*Exit codes: 0 healthy/ }
  t.match(await run(['check', '--help']), help)
  t.match(await run(['help', 'check']), help)
})

t.test('usage errors name the closest command or option and exit with 3', async t => {
  t.match(await run(['chek']), {
    code: 3,
    stderr: /unknown command 'chek' \(did you mean check\?\)/,
  })
  t.match(await run(['check', '--cannary']), {
    code: 3,
    stderr: /did you mean --canary\?/,
  })
  t.match(await run(['check', '--canary-mode', 'x']), {
    code: 3,
    stderr: /Allowed choices are private, daemon/,
  })
  t.match(await run(['config']), {
    code: 3,
    stderr: /Usage: builder-monitor config[^]*check/,
  })
  t.match(await run(['run', '--log-format', 'xml']), {
    code: 3,
    stderr: /'xml' is invalid. Allowed choices are auto, json, pretty/,
  })
  t.match(await run(['builders', 'extra']), { code: 3, stderr: /too many arguments/ })
  t.match(await run(['run', '--config', '']), { code: 3, stderr: /--config .*empty/ })
  t.match(await run(['run', '--config']), { code: 3, stderr: /argument missing/ })
  t.match(await run(['explain', 'NixBuilderDown']), {
    code: 0,
    stdout: /^# NixBuilderDown\n/,
  })
  t.match(await run(['explain', 'auth_denied']), {
    code: 0,
    stdout:
      /^# auth_denied\n[^]*(?:builds use the ssh of \S+, known by: |is not known: no process)/,
  })
  t.match(await run(['explain', 'zzzzzzzzzzzz']), {
    code: 3,
    stderr: 'builder-monitor: no kind or alert is called zzzzzzzzzzzz\n',
  })
  t.match(await run(['explain', 'dnss']), { code: 3, stderr: /did you mean dns\?/ })
  t.match(await run(['explain']), { code: 3, stderr: /missing required argument/ })
})

t.test('builders --json prints the object of the contract', async t => {
  const env = await conf(
    t,
    'ssh-ng://nix@host:2222 x86_64-linux,i686-linux /key 4 1.5 kvm big-parallel\nbad - - many\n',
  )
  const { code, stdout } = await run(['builders', '--json'], env)
  t.equal(code, 1, 'a malformed line')
  const printed = JSON.parse(stdout) as { builders: object[]; problems: object[] }
  t.match(printed, {
    source: 'files',
    builders: [
      {
        name: 'host',
        storeUri: 'ssh-ng://nix@host:2222',
        scheme: 'ssh-ng',
        user: 'nix',
        host: 'host',
        port: 2222,
        params: {},
        systems: ['x86_64-linux', 'i686-linux'],
        sshKey: '/key',
        maxJobs: 4,
        speedFactor: 1.5,
        supportedFeatures: ['kvm'],
        mandatoryFeatures: ['big-parallel'],
        publicHostKey: null,
        origin: { line: 1 },
      },
    ],
    problems: [{ line: 2, message: /every build on this machine fails/ }],
  })
  t.same(Object.keys(printed.problems[0]!).sort(), ['file', 'line', 'message'])
})

t.test('check without builders exits with 3 and names the files it read', async t => {
  const env = await conf(t, '')
  t.match(await run(['check'], env), {
    code: 3,
    stdout: /^No builders are configured\./,
    stderr: /^Read: .*machines\nTo try .*: builder-monitor demo\n$/,
  })
})

t.test('check names a missing ssh program', async t => {
  const env = await conf(t, 'ssh-ng://nix@host x86_64-linux\n')
  const { code, stdout } = await run(['check', '--json'], env)
  t.equal(code, 2)
  const report = JSON.parse(stdout) as Report
  t.match(report.builders[0]?.cause, {
    kind: 'ssh_missing',
    side: 'client',
    fixes: [{ text: /Install OpenSSH/ }],
  })
  t.match(report.builders[0]?.probes.trust, {
    status: 'skipped',
    kind: 'dependency_failed',
  })
})

t.test('check --debug prints each step under its probe', async t => {
  const env = await conf(t, 'ssh-ng://nix@host x86_64-linux\n')
  t.match(await run(['check', '--debug'], env), {
    stdout: /✘ login .*\n +\| +\+\d+ ms ssh -G: ssh_missing\n {2}· trust/,
  })
  const probesWith = async (...options: readonly string[]) => {
    const { stdout } = await run(['check', '--json', ...options], env)
    return (JSON.parse(stdout) as Report).builders[0]?.probes
  }
  t.match((await probesWith('--debug'))?.login?.trace, [/ssh -G: ssh_missing/])
  t.notOk((await probesWith())?.login?.trace, 'only with --debug')
})

t.test(
  'check does not probe a drained builder, and one that may sleep is asleep',
  async t => {
    const env = await conf(
      t,
      'ssh-ng://nix@one.invalid x86_64-linux\nssh-ng://nix@two.invalid x86_64-linux\n',
    )
    const check = async (builders: object) => {
      const config = join(env['NIX_CONF_DIR']!, 'config.json')
      await writeFile(config, JSON.stringify({ builders }))
      const args = ['check', '--json', '--config', config]
      const { code, stdout } = await run(args, { ...env, PATH: process.env['PATH'] })
      const { builders: all } = JSON.parse(stdout) as Report
      return [
        code,
        ...all.map(b => [b.state, b.cause?.kind, Object.keys(b.probes).length > 0]),
      ]
    }
    const down = ['down', 'dns', true]
    t.same(await check({}), [2, down, down])
    t.same(await check({ 'one.invalid': { drained: true } }), [
      2,
      ['drained', undefined, false],
      down,
    ])
    t.same(await check({ 'one.invalid': { expect: 'asleep' } }), [
      2,
      ['asleep', undefined, true],
      down,
    ])
  },
)

t.test('check names the closest builder for an unknown one', async t => {
  const env = await conf(t, 'ssh-ng://nix@host x86_64-linux\n')
  t.match(await run(['check', 'hots'], env), { code: 3, stderr: /did you mean host\?/ })
})

t.test('config check prints all errors at once', async t => {
  const file = join(await scratch(t), 'config.json')
  await writeFile(file, '{"lisen": [], "jitter": 3}')
  t.match(await run(['config', 'check', file]), {
    code: 1,
    stderr: /did you mean listen\?[\s\S]*\/jitter/,
  })
  await writeFile(file, '{"jitter": 0.1}')
  t.match(await run(['config', 'check', file]), { code: 0, stdout: /config\.json: OK/ })
  await writeFile(file, '{"quarantine": {"dryRun": true}}')
  t.match(await run(['config', 'check', file]), {
    code: 0,
    stderr: /config\.json: \/quarantine\/dryRun: has no effect .* \(warning\)\n$/,
  })
})

t.test('write-machines lists all builders, and nothing of a malformed list', async t => {
  const line = 'ssh-ng://nix@host x86_64-linux /key 4'
  const directory = await scratch(t)
  const file = join(directory, 'machines')
  const config = join(directory, 'config.json')
  await writeFile(config, JSON.stringify({ quarantine: { machinesFile: file } }))
  const good = await conf(t, `# mine\n${line}\n`)
  t.match(await run(['write-machines', '--config', config], good), {
    code: 0,
    stderr: '',
  })
  t.equal(await readFile(file, 'utf8'), `${line}\n`)
  t.match(await run(['write-machines', file], await conf(t, `${line} many\n`)), {
    code: 1,
    stderr: /machines: the builders list is malformed/,
  })
  t.equal(await readFile(file, 'utf8'), `${line}\n`, 'unchanged')
  const source = join(good['NIX_CONF_DIR'] ?? '', 'machines')
  t.match(await run(['write-machines', source], good), {
    code: 1,
    stderr: /is a source of the builders/,
  })
  t.match(await run(['write-machines'], good), { code: 0 }, 'none is configured')
})

t.test('run and config check do not wait for a pipe', async t => {
  const pipe = join(await scratch(t), 'pipe')
  execFileSync('mkfifo', [pipe])
  const error = `${pipe}: is not a regular file\n`
  t.match(await run(['config', 'check', pipe]), { code: 1, stderr: error })
  t.match(await run(['run', '--config', pipe]), {
    code: 78,
    stderr: `builder-monitor: ${error}`,
  })
})

t.test('run exits with 78 for an invalid configuration', async t => {
  const file = join(await scratch(t), 'config.json')
  await writeFile(file, '{')
  t.match(await run(['run', '--config', file]), { code: 78, stderr: /not JSON/ })
  await writeFile(file, '{"lisen": [], "jitter": 3}')
  for (const command of ['run', 'check']) {
    const { stderr } = await run([command, '--config', file])
    t.match(stderr, /^(builder-monitor: .*\n){2}$/, 'every error names the program')
  }
})

t.test('run exits with 1 and names a port in use', async t => {
  const server = createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const { port } = server.address() as { port: number }
  t.match(await run(['run', '--listen', `127.0.0.1:${port}`]), {
    code: 1,
    stderr: /the address is in use/,
  })
})

const reportAt = async (address: string): Promise<Report> =>
  (await (await fetch(`http://${address}/api/v1/builders`)).json()) as Report

t.test('demo shows every state, replies to status and stops on SIGTERM', async t => {
  const directory = await scratch(t)
  const env = { XDG_RUNTIME_DIR: directory, RUNTIME_DIRECTORY: directory }
  const demo = start(['demo', '--listen', '127.0.0.1:0'], env)
  t.teardown(() => demo.child.kill('SIGKILL'))
  const [, address] = await demo.saw(/on the demo fleet: http:\/\/([\d.:]+)\//)
  const began = Date.now()
  const wanted = {
    'demo-healthy': 'healthy',
    'demo-full-disk': 'degraded',
    'demo-untrusted': 'degraded',
    'demo-changed-key': 'down',
    'demo-flaky': 'down',
  }
  for (;;) {
    const report = await reportAt(address!)
    const states = Object.fromEntries(report.builders.map(b => [b.name, b.state]))
    if (Object.entries(wanted).every(([name, state]) => states[name] === state)) break
    if (Date.now() - began > 25_000) {
      t.same(states, wanted)
      break
    }
    await new Promise(resolve => setTimeout(resolve, 200))
  }
  const status = await run(['status', 'demo-untrusted'], env)
  t.match(status, { code: 1, stdout: /demo-untrusted  degraded[\s\S]*trusted-users/ })
  t.match(await run(['status', 'demo'], env), {
    code: 3,
    stderr: /no builder called demo \(there are: demo-healthy, /,
  })
  const { stdout } = await run(['status', 'demo-healthy', '--json'], env)
  const { findings } = JSON.parse(stdout) as { findings: { builder?: string }[] }
  t.ok(findings.every(({ builder = 'demo-healthy' }) => builder === 'demo-healthy'))
  const stopping = Date.now()
  demo.child.kill('SIGTERM')
  t.match(await demo.ended, { code: 0 })
  t.ok(Date.now() - stopping < 5000, 'within five seconds')
  t.match(await run(['status'], env), { code: 3, stderr: /the daemon is not running/ })
})

t.test(
  'run applies a changed machines file and SIGHUP, and rejects an invalid configuration',
  async t => {
    const env = await conf(t, 'ssh-ng://one x86_64-linux\n')
    const directory = env['NIX_CONF_DIR']!
    const file = join(directory, 'config.json')
    await writeFile(file, '{}')
    const daemon = start(['run', '--config', file, '--listen', '127.0.0.1:0'], {
      ...env,
      RUNTIME_DIRECTORY: directory,
    })
    t.teardown(() => daemon.child.kill('SIGKILL'))
    await daemon.saw(/"msg":"started"/)
    const [, address] = await daemon.saw(/"addresses":\["([^"]+)"/)
    const names = async () => (await reportAt(address!)).builders.map(b => b.name)
    t.same(await names(), ['one'])
    await writeFile(
      join(directory, 'machines'),
      'ssh-ng://one x86_64-linux\nssh-ng://two x86_64-linux\n',
    )
    while ((await names()).length < 2)
      await new Promise(resolve => setTimeout(resolve, 100))
    t.same(await names(), ['one', 'two'])

    await writeFile(file, '{"jitter": "wild"}')
    daemon.child.kill('SIGHUP')
    await daemon.saw(/the previous one stays/)
    t.same(await names(), ['one', 'two'])
    const metrics = await (await fetch(`http://${address}/metrics`)).text()
    t.match(metrics, /^builder_monitor_config_last_reload_successful 0$/m)
    await writeFile(file, '{"jitter": 0.1}')
    const reload = await fetch(`http://${address}/-/reload`, { method: 'POST' })
    t.equal(reload.status, 200)
    daemon.child.kill('SIGTERM')
    t.match(await daemon.ended, { code: 0 })
  },
)
