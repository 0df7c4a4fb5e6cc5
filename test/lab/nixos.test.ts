/**
 * The Nix files of this project with every version of Nix in the lab: they parse, the modules evaluate correctly (with
 * test/nixos, because nixpkgs is not available), and the package builds.
 */
import { execFile } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { lab, type Client } from './support.ts'

const skip = process.env['LAB'] !== '1' && 'needs the lab: npm run test:lab'
const root = fileURLToPath(new URL('../..', import.meta.url))
const clients: readonly (readonly [client: Client, nix: string])[] = [
  ['c1', '2.8'],
  ['c2', '2.26'],
  ['c3', '2.34'],
]

const nixFiles = [
  'flake.nix',
  ...['nix', 'test/nixos'].flatMap(directory =>
    readdirSync(`${root}/${directory}`, { recursive: true })
      .map(String)
      .filter(file => file.endsWith('.nix'))
      .map(file => `${directory}/${file}`),
  ),
].sort()

/** The results of one evaluation of a module that the tests use. */
interface Evaluated {
  readonly failed: readonly string[]
  readonly warnings: readonly string[]
  readonly settings: Readonly<Record<string, unknown>>
  readonly scrapeConfig: unknown
  readonly service: null | {
    readonly serviceConfig: Readonly<Record<string, unknown>>
    readonly path: readonly string[]
    readonly reloadTriggers: readonly string[]
  }
  readonly holderSocket: null | { readonly socketConfig: Options }
  readonly holder: null | {
    readonly serviceConfig: Options
    readonly path: readonly string[]
  }
  readonly launchdHolder: null | { readonly command: string }
  readonly launchd: null | {
    readonly command: string
    readonly serviceConfig: Readonly<Record<string, unknown>>
  }
  readonly users: Readonly<Record<string, unknown>>
  readonly groups: Readonly<Record<string, unknown>>
  readonly ports: readonly number[]
  readonly trusted: readonly string[]
  readonly etc: Readonly<Record<string, { readonly source: string }>>
  readonly sshConfig: string
  readonly packages: readonly string[]
  readonly scraped: readonly unknown[]
}

type Options = Readonly<Record<string, unknown>>
const nixos = (builderMonitor: Options, nix: Options = { distributedBuilds: true }) => ({
  nixos: { services: { builderMonitor: { enable: true, ...builderMonitor } }, nix },
})
const machine = (hostName: string, sshKey: string | null) => ({ hostName, sshKey })

/** Configurations of the module. */
const cases = {
  off: { nixos: {} },
  first: nixos(
    {},
    {
      distributedBuilds: true,
      buildMachines: [machine('b1', '/etc/nix/key'), machine('b2', '/etc/nix/key')],
    },
  ),
  keyless: nixos({}, { distributedBuilds: true, buildMachines: [machine('b1', null)] }),
  rootless: {
    nixos: {
      services: { builderMonitor: { enable: true } },
      users: { users: { 'nix-daemon': { home: '/var/lib/nix-daemon' } } },
      nix: {
        daemonUser: 'nix-daemon',
        distributedBuilds: true,
        buildMachines: [machine('b1', null)],
      },
    },
  },
  open: nixos({
    listenAddress: '::',
    port: 9999,
    openFirewall: true,
    user: 'me',
    group: 'us',
    keyFiles: ['/run/keys/other'],
    webConfigFile: '/etc/web.yml',
    extraFlags: ['--log-level', "it's"],
    canary: { enable: false, features: true },
    settings: {
      logLevel: 'debug',
      builders: { laptop: { expect: 'asleep' } },
      schedule: { canary: '1 2 3 4 5' },
      somethingNew: { list: [1, { deep: 2.5 }] },
    },
    prometheus: { enable: true },
    enableConfigCheck: false,
  }),
  quarantine: nixos({
    quarantine: { enable: true, dryRun: true, abortHungConnects: true },
    settings: { quarantine: { keepaliveSeconds: 7, socket: '/run/hold' } },
  }),
  sshTimeouts: {
    nixos: {
      services: { builderMonitor: { enable: true, sshTimeouts: true } },
      programs: { ssh: { extraConfig: 'User me' } },
      nix: {
        buildMachines: [{ hostName: 'big' }, { hostName: 'arm' }, { hostName: 'big' }],
      },
    },
  },
  trusted: nixos({ canary: { mode: 'daemon', trusted: true } }),
  alerting: nixos({
    alertmanager: {
      enable: true,
      urls: ['http://alerts:9093'],
      webhooks: { chat: 'http://chat/hook' },
    },
  }),
  mac: { darwin: { services: { builderMonitor: { enable: true } } } },
  quarantineMac: {
    darwin: {
      services: { builderMonitor: { enable: true, quarantine: { enable: true } } },
    },
  },
  // Rejected with a message
  onlyDryRun: nixos({ quarantine: { dryRun: true } }),
  otherState: {
    nixos: {
      services: { builderMonitor: { enable: true, quarantine: { enable: true } } },
      systemd: { services: { 'nix-daemon': { environment: { NIX_STATE_DIR: '/s' } } } },
    },
  },
  macUser: {
    darwin: {
      services: {
        builderMonitor: { enable: true, user: 'me', quarantine: { enable: true } },
      },
    },
  },
  macAbort: {
    darwin: {
      services: {
        builderMonitor: {
          enable: true,
          quarantine: { enable: true, abortHungConnects: true },
        },
      },
    },
  },
  noReceiver: nixos({ alertmanager: { enable: true } }),
  relative: nixos({ webConfigFile: 'web.yml' }),
  loopback: nixos({ openFirewall: true }),
  untrusted: nixos({ canary: { mode: 'daemon' } }),
  spaced: nixos({ keyFiles: ['/run/a key'] }),
  relativeKey: nixos({ keyFiles: ['key'] }),
  clash: nixos({ keyFiles: ['/a/b-c', '/a-b/c'] }),
  noNix: nixos({}, { enable: false, distributedBuilds: true }),
  // Accepted with a warning
  unused: nixos({}, { buildMachines: [machine('b1', '/etc/nix/key')] }),
  inStore: nixos({ keyFiles: ['/nix/store/abc-key'] }),
}

const evaluate = async (
  client: Client,
  attribute: string,
  args: readonly string[] = [],
) => {
  const ran = await lab([
    ...['client', client, 'nix-instantiate', '--eval', '--strict', '--json'],
    ...['/lab/project/test/nixos', '-A', attribute, ...args],
  ])
  return { ...ran, value: ran.exit === 0 ? (JSON.parse(ran.stdout) as unknown) : null }
}
const evaluateCases = async (client: Client, which: Options) => {
  const ran = await evaluate(client, 'evaluated', [
    '--argstr',
    'cases',
    JSON.stringify(which),
  ])
  if (ran.value === null) throw new Error(ran.stderr.slice(-2000))
  return ran.value as Readonly<Record<keyof typeof cases, Evaluated>>
}

for (const [client, nix] of clients)
  void t.test(`Nix ${nix}`, { skip }, async t => {
    for (const file of nixFiles) {
      const ran = await lab([
        'client',
        client,
        'nix-instantiate',
        '--parse',
        `/lab/project/${file}`,
      ])
      t.equal(ran.exit, 0, `${file} parses ${ran.stderr.slice(-500)}`)
    }
    await testModules(t, await evaluateCases(client, cases))
    await testInvalidOptions(t, client)
    await testFlakeAndVm(t, client)
    const docs = await lab([
      'client',
      client,
      'node',
      '/lab/project/scripts/nixos-docs.mjs',
    ])
    t.equal(
      docs.stdout,
      await readFile(`${root}/docs/nixos.md`, 'utf8'),
      'docs/nixos.md is up to date (else: node scripts/nixos-docs.mjs >docs/nixos.md)',
    )
  })

const testModules = (
  t: Test,
  evaluated: Readonly<Record<keyof typeof cases, Evaluated>>,
) =>
  t.test('evaluates the modules', async t => {
    t.match(
      evaluated.off,
      { failed: [], service: null, users: {}, packages: [], etc: {} },
      'a disabled module changes nothing',
    )
    t.same(evaluated.off.packages, [])
    t.same(evaluated.off.etc, {})

    const { first } = evaluated
    t.same(
      [first.failed, first.warnings, first.ports, first.trusted],
      [[], [], [], ['root']],
    )
    const { serviceConfig = {}, path = [], reloadTriggers } = first.service ?? {}
    t.match(
      serviceConfig['ExecStart'],
      /^\/nix\/store\/\w+-builder-monitor-[\d.]+\/bin\/builder-monitor run --config \/etc\/builder-monitor\/config\.json$/,
    )
    t.match(serviceConfig['ExecReload'], /\/bin\/builder-monitor reload$/)
    t.match(
      serviceConfig['ExecStopPost'],
      / -c 'test "\$\$SERVICE_RESULT" = success \|\| exec \/nix\/store\/\S+\/bin\/builder-monitor write-machines --config \/etc\/builder-monitor\/config\.json'$/,
    )
    t.match(serviceConfig, { User: 'builder-monitor', Group: 'builder-monitor' })
    t.same(serviceConfig['LoadCredential'], [
      'etc-nix-key:/etc/nix/key',
      'ssh-config:/root/.ssh/config',
      'ssh-known_hosts:/root/.ssh/known_hosts',
    ])
    t.same(
      serviceConfig['SetCredential'],
      ['etc-nix-key:\\n', 'ssh-config:\\n', 'ssh-known_hosts:\\n'],
      'the service starts without these files',
    )
    t.match(path, [/-nix$/, /-openssh$/, /-iproute2$/])
    t.same(reloadTriggers, [first.etc['builder-monitor/config.json']?.source])
    t.match(first.etc['builder-monitor/config.json']?.source, /-checked\.json$/)
    t.match(first.users, {
      'builder-monitor': { isSystemUser: true, group: 'builder-monitor' },
    })
    t.match(first.settings, {
      listen: ['127.0.0.1:10922'],
      canary: { enabled: true, mode: 'private', features: false },
    })
    t.notOk('alerting' in first.settings && hasAlertmanagers(first.settings['alerting']))
    t.same(first.scraped, [])

    t.match(evaluated.keyless.service?.serviceConfig['LoadCredential'], [
      'root-.ssh-id_ecdsa:/root/.ssh/id_ecdsa',
      'root-.ssh-id_ed25519:/root/.ssh/id_ed25519',
      'root-.ssh-id_rsa:/root/.ssh/id_rsa',
    ])

    const home = '/var/lib/nix-daemon/.ssh'
    t.match(evaluated.rootless.service?.serviceConfig['LoadCredential'], [
      `root-.ssh-id_ecdsa:${home}/id_ecdsa`,
      `root-.ssh-id_ed25519:${home}/id_ed25519`,
      `root-.ssh-id_rsa:${home}/id_rsa`,
      `ssh-config:${home}/config`,
      `ssh-known_hosts:${home}/known_hosts`,
    ])

    t.match(first.settings['quarantine'], { enable: false, dryRun: false })
    t.match(first.holderSocket?.socketConfig, {
      ListenStream: '/run/builder-monitor-slots/hold.sock',
      SocketGroup: 'builder-monitor',
    })
    t.match(first.holder?.serviceConfig, {
      ExecStart: /\/bin\/builder-monitor hold-slots$/,
      ExecStartPre: /^-\+\/nix\/store\/\S+\/bin\/mkdir -p \/nix\/var\/nix\/current-load$/,
      User: 'root',
      CapabilityBoundingSet: '',
      PrivateUsers: true,
    })
    t.match(first.holder?.path, [/-util-linux$/])
    t.match(evaluated.rootless.holder?.serviceConfig, {
      User: 'nix-daemon',
      ExecStartPre:
        /^-\+\S+\/setpriv --reuid=nix-daemon --clear-groups \/nix\S+\/mkdir -p /,
    })
    const { quarantine } = evaluated
    t.same([quarantine.failed, quarantine.warnings], [[], []])
    t.match(quarantine.settings['quarantine'], {
      enable: true,
      dryRun: true,
      abortHungConnects: true,
      keepaliveSeconds: 7,
    })
    t.equal(quarantine.holderSocket?.socketConfig['ListenStream'], '/run/hold')
    t.match(quarantine.holder?.serviceConfig, {
      CapabilityBoundingSet: 'CAP_KILL CAP_SYS_PTRACE',
      PrivateUsers: false,
    })

    const { open } = evaluated
    t.same([open.failed, open.ports, open.users, open.groups], [[], [9999], {}, {}])
    t.match(open.service?.serviceConfig, { User: 'me', Group: 'us' })
    t.match(
      open.service?.serviceConfig['ExecStart'],
      / --web\.config\.file \/etc\/web\.yml --log-level 'it'\\''s'$/,
    )
    t.match(open.service?.serviceConfig['LoadCredential'], [
      'run-keys-other:/run/keys/other',
    ])
    t.match(open.etc['builder-monitor/config.json']?.source, /builder-monitor\.json$/)
    t.match(open.settings, {
      listen: ['[::]:9999'],
      logLevel: 'debug',
      canary: { enabled: false, features: true },
      builders: { laptop: { expect: 'asleep', drained: false } },
      schedule: { canary: '1 2 3 4 5', login: '*/2 * * * *' },
      somethingNew: { list: [1, { deep: 2.5 }] },
    })
    const scrape = {
      job_name: 'builder-monitor',
      static_configs: [{ targets: ['127.0.0.1:9999'] }],
    }
    t.same([open.scrapeConfig, open.scraped], [scrape, [scrape]])

    t.same(
      [evaluated.trusted.failed, evaluated.trusted.trusted],
      [[], ['builder-monitor']],
    )
    t.match(evaluated.alerting.settings['alerting'], {
      enable: true,
      alertmanagers: [{ url: 'http://alerts:9093' }],
      webhooks: [{ name: 'chat', url: 'http://chat/hook' }],
    })

    const { launchd } = evaluated.mac
    t.match(launchd?.serviceConfig, { UserName: 'root', RunAtLoad: true })
    t.match(
      launchd?.command,
      /builder-monitor run --config \/nix\/store\/\S+-checked\.json$/,
    )

    const socket = '/var/run/builder-monitor-slots.sock'
    t.match(evaluated.mac.settings['quarantine'], { enable: false, socket })
    t.match(
      evaluated.mac.launchdHolder?.command,
      /builder-monitor hold-slots --socket \/var\/run\/builder-monitor-slots\.sock$/,
    )
    t.match(evaluated.quarantineMac, {
      failed: [],
      settings: { quarantine: { enable: true, socket } },
    })

    t.equal(first.sshConfig, '')
    t.match(
      evaluated.sshTimeouts.sshConfig,
      /^Host big arm\n {2}ConnectTimeout 10\n {2}ServerAliveInterval 5\n {2}ServerAliveCountMax 2\nHost \*\n+User me$/,
    )

    const rejected = {
      onlyDryRun: /have no effect without quarantine\.enable/,
      otherState: /NIX_STATE_DIR of nix-daemon is \/s\. Remove it/,
      macUser: /needs services\.builderMonitor\.user = "root" on macOS/,
      macAbort: /needs \/proc, which macOS does not have/,
      noReceiver: /there is no receiver.*alertmanager\.urls/,
      relative: /"web\.yml", which is not an absolute path/,
      loopback: /opens port 10922, but the daemon listens on 127\.0\.0\.1/,
      untrusted: /does not trust the user builder-monitor.*canary\.trusted = true/,
      spaced: /\/run\/a key in .* cannot be passed/,
      relativeKey: /: key in .* Write an absolute path/,
      clash: /two key files would be the same credential \(\/a\/b-c, \/a-b\/c\)/,
      noNix: /nix\.enable is off.*Enable Nix/,
    }
    for (const [name, message] of Object.entries(rejected)) {
      const { failed } = evaluated[name as keyof typeof rejected]
      t.equal(failed.length, 1, name)
      t.match(failed[0]?.replace(/\s+/g, ' '), message)
    }
    t.match(evaluated.unused.warnings, [
      /nix\.distributedBuilds is off[^]*distributedBuilds = true/,
    ])
    t.match(evaluated.inStore.warnings, [/in the Nix store \(\/nix\/store\/abc-key\)/])
    t.notMatch(evaluated.inStore.service?.serviceConfig['LoadCredential'], [/abc-key/])
  })

const hasAlertmanagers = (alerting: unknown): boolean =>
  JSON.stringify(alerting).includes('http')

const testInvalidOptions = (t: Test, client: Client) =>
  t.test('rejects invalid options', async t => {
    const invalid: readonly (readonly [options: Options, message: RegExp])[] = [
      [{ prot: 1 }, /builderMonitor\.prot' does not exist/],
      [{ port: 70000 }, /builderMonitor\.port' is not of type/],
      [
        { canary: { mode: 'fast' } },
        /canary\.mode' is not of type `one of "private", "daemon"/,
      ],
      [{ settings: { logLevel: 'loud' } }, /settings\.logLevel' is not of type/],
      [{ configFile: '/x' }, /configFile' is read-only/],
    ]
    for (const [options, message] of invalid) {
      const which = JSON.stringify({ one: nixos(options) })
      const { exit, stderr } = await evaluate(client, 'all', ['--argstr', 'cases', which])
      t.not(exit, 0, JSON.stringify(options))
      t.match(stderr, message)
    }
  })

const testFlakeAndVm = (t: Test, client: Client) =>
  t.test('evaluates the flake and the VM test', async t => {
    const { value: flake, stderr } = await evaluate(client, 'flake')
    t.match(
      flake,
      {
        nixos: [],
        darwin: [],
        packages: { 'x86_64-linux': {}, 'aarch64-darwin': {} },
        checks: { 'x86_64-linux': ['package', 'vm'] },
        shells: { 'x86_64-linux': [/-node$/, /-openssh$/] },
      },
      stderr.slice(-1000),
    )
    const {
      package: drv,
      overlay,
      packages,
    } = flake as {
      readonly package: string
      readonly overlay: string
      readonly packages: Readonly<Record<string, { readonly default: string }>>
    }
    t.match(drv, /-builder-monitor-[\d.]+\.drv$/)
    t.equal(overlay, drv)
    t.equal(packages['x86_64-linux']?.default, drv)
    const { value: vm } = await evaluate(client, 'vm')
    t.match(vm, {
      nodes: ['alpha', 'beta', 'monitor'],
      monitor: { failed: [], warnings: [] },
      testScript: /systemctl\("stop sshd/,
    })
  })

void t.test(
  'systemd/builder-monitor.service equals nix/service.nix',
  { skip },
  async t => {
    const { value } = await evaluate('c3', 'service')
    const { serviceConfig, unitConfig, after, wants } = value as Record<string, Options>
    const unit = parseUnit(
      await readFile(`${root}/systemd/builder-monitor.service`, 'utf8'),
    )
    const own = ['ExecStart', 'ExecReload', 'ExecStopPost', 'User', 'Group']
    t.same(
      { ...asLines(serviceConfig ?? {}) },
      Object.fromEntries(
        Object.entries(unit['Service'] ?? {}).filter(([key]) => !own.includes(key)),
      ),
    )
    t.match(unit['Unit'], asLines(unitConfig ?? {}))
    t.same(unit['Unit']?.['After'], Object.values(after ?? {}).join(' '))
    t.same(unit['Unit']?.['Wants'], Object.values(wants ?? {}).join(' '))
  },
)

void t.test('the units of the slot holder equal nix/holder.nix', { skip }, async t => {
  const { value } = await evaluate('c3', 'holder')
  const { socket, service, abortHungConnects } = value as Record<
    'socket' | 'service' | 'abortHungConnects',
    Readonly<Record<string, Options>>
  >
  const read = async (name: string) =>
    parseUnit(await readFile(`${root}/systemd/${name}`, 'utf8'))
  const without = (set: Readonly<Record<string, string>> = {}, ...own: string[]) =>
    Object.fromEntries(Object.entries(set).filter(([key]) => !own.includes(key)))
  const serviceUnit = await read('builder-monitor-slots.service')
  t.same(
    asLines(service['serviceConfig'] ?? {}),
    without(serviceUnit['Service'], 'ExecStart', 'ExecStartPre', 'User'),
  )
  t.same(serviceUnit['Unit'], {
    ...asLines(service['unitConfig'] ?? {}),
    Description: asWords(service['description']),
    Documentation: asWords(service['documentation']),
    Requires: asWords(service['requires']),
    After: asWords(service['after']),
  })
  const socketUnit = await read('builder-monitor-slots.socket')
  t.same(
    asLines(socket['socketConfig'] ?? {}),
    without(socketUnit['Socket'], 'SocketGroup'),
  )
  t.same(socketUnit['Install'], { WantedBy: asWords(socket['wantedBy']) })
  t.same(
    asLines(abortHungConnects),
    (await read('20-abort-hung-connects.conf'))['Service'],
  )
})

/** Parses a unit into { section: { key: values joined by spaces } }; booleans are yes and no. */
const parseUnit = (text: string): Record<string, Record<string, string>> => {
  const sections: Record<string, Record<string, string>> = {}
  let section: Record<string, string> = {}
  for (const line of text.split('\n')) {
    const name = /^\[(\w+)\]$/.exec(line)?.[1]
    if (name) section = sections[name] ??= {}
    const [, key, value = ''] = /^(\w+)=(.*)$/.exec(line) ?? []
    if (key) section[key] = key in section ? `${section[key]} ${value}` : value
  }
  return sections
}
const asLines = (set: Options): Record<string, string> =>
  Object.fromEntries(Object.entries(set).map(([key, value]) => [key, asWords(value)]))
const asWords = (value: unknown): string => {
  if (Array.isArray(value)) return value.map(asWords).join(' ')
  if (typeof value === 'boolean') return value ? 'yes' : 'no'
  return String(value)
}

void t.test(
  'the hash of the production dependencies is up to date and reproducible',
  { skip },
  async t => {
    const run = (umask: string, option: string) =>
      promisify(execFile)(
        'bash',
        ['-c', `umask ${umask}; exec scripts/npm-deps-hash.sh ${option}`],
        {
          cwd: root,
        },
      )
    const { stdout } = await run('022', '')
    t.match(stdout, /^sha256-[\w+/]{43}=\n$/)
    t.equal((await run('077', '')).stdout, stdout, 'does not depend on the umask')
    t.equal(
      await readFile(`${root}/nix/npm-deps.nix`, 'utf8'),
      `# Of the production dependencies. Written by scripts/npm-deps-hash.sh --write\n"${stdout.trim()}"\n`,
      'nix/npm-deps.nix is up to date (else: scripts/npm-deps-hash.sh --write)',
    )
  },
)

void t.test(
  'the package builds, and a build checks the configuration',
  { skip },
  async t => {
    const { stdout: registry } = await promisify(execFile)('npm', [
      'config',
      'get',
      'registry',
    ])
    const tools = ['/lab/project/node_modules/.bin', dirname(process.execPath)]
    const build = (attribute: string, which: Options = {}) =>
      lab([
        ...['client', 'host', 'env', `npm_config_registry=${registry.trim()}`],
        ...['nix-build', '--no-out-link', '/lab/project/test/nixos', '-A', attribute],
        ...['--arg', 'tools', `[ ${tools.map(tool => JSON.stringify(tool)).join(' ')} ]`],
        ...['--argstr', 'cases', JSON.stringify(which)],
      ])
    const built = await build('package')
    t.equal(built.exit, 0, built.stderr.slice(-2000))
    const program = `${built.stdout.trim()}/bin/builder-monitor`
    const explained = await lab(['client', 'host', program, 'explain', 'disk_full'])
    t.equal(explained.exit, 0, 'the program runs from the store')
    t.match(explained.stdout, /disk_full/)

    const good = await build('configFiles.one', { one: cases.first })
    t.equal(good.exit, 0, good.stderr.slice(-2000))
    const bad = await build('configFiles.one', {
      one: nixos({ settings: { concurency: {} } }),
    })
    t.not(bad.exit, 0)
    t.match(bad.stderr, /\/concurency: unknown option, did you mean concurrency\?/)
  },
)
