/** The active builders, reported by a simulated nix or read from files in memory. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { readActiveBuilders } from '../../../src/config/builders/active-builders.ts'
import { readTextFile, type ReadFile } from '../../../src/config/builders/text-source.ts'
import type { Run, RunRequest, RunResult } from '../../../src/model/index.ts'

type Files = Readonly<Record<string, string | { readonly code: string }>>

/** Files in memory; `{ code }` is a file that cannot be read. */
const filesOf =
  (files: Files): ReadFile =>
  (path, maxBytes) => {
    const file = Object.hasOwn(files, path) ? files[path] : undefined
    if (typeof file === 'string')
      return Promise.resolve(Buffer.from(file).toString('utf8', 0, maxBytes + 1))
    return Promise.reject(
      Object.assign(new Error('no'), { code: file?.code ?? 'ENOENT' }),
    )
  }

const ended: RunResult = {
  code: 0,
  signal: null,
  stdout: '',
  stderr: '',
  truncated: false,
  spawnError: null,
  aborted: false,
}
const noNix: Run = () => Promise.resolve({ ...ended, code: null, spawnError: 'ENOENT' })

/** A simulated nix of this version that prints these settings. */
const nixOf = (
  version: string,
  answer: Partial<RunResult>,
  requests: RunRequest[] = [],
): Run => {
  return request => {
    requests.push(request)
    return Promise.resolve(
      request.args.includes('--version')
        ? { ...ended, stdout: `nix (Nix) ${version}\n` }
        : { ...ended, ...answer },
    )
  }
}

const settings = (values: Readonly<Record<string, unknown>>) => ({
  stdout: JSON.stringify(
    Object.fromEntries(Object.entries(values).map(([name, value]) => [name, { value }])),
  ),
})

const read = (options: {
  readonly run?: Run
  readonly files?: Files
  readonly env?: Readonly<Record<string, string>>
  readonly arch?: string
  readonly platform?: string
}) =>
  readActiveBuilders({
    run: options.run ?? noNix,
    readFile: filesOf(options.files ?? {}),
    env: options.env ?? {},
    arch: options.arch ?? 'x64',
    platform: options.platform ?? 'linux',
    signal: new AbortController().signal,
  })

/** Returns the processor time since then, ms: other programs do not count. */
const cpuMs = (started: NodeJS.CpuUsage): number => process.cpuUsage(started).user / 1000

const origins = (answer: Awaited<ReturnType<typeof read>>) =>
  answer.builders.map(b => `${b.name} ${b.origin.file}:${b.origin.line}`)

t.test('expands the files of the settings that Nix reports', async t => {
  const requests: RunRequest[] = []
  const answer = await read({
    run: nixOf(
      '2.26.3',
      settings({ builders: '@/m', system: 'aarch64-linux' }),
      requests,
    ),
    files: {
      '/m': '# fleet\nssh://a\n@/n\nssh://b x\n',
      '/n': '\nssh-ng://c\n',
      '/etc/nix/nix.conf': 'builders = @/m',
    },
    env: { HOME: '/h', PATH: '/bin' },
  })
  t.match(answer, {
    source: 'nix',
    problems: [],
    nix: { version: '2.26.3', system: 'aarch64-linux' },
  })
  t.same(origins(answer), ['a /m:2', 'c /n:2', 'b /m:4'])
  t.same(
    answer.builders[0]?.systems,
    ['aarch64-linux'],
    'the local system is the default',
  )
  t.same(
    answer.files,
    ['/etc/nix/nix.conf', '/etc/xdg/nix/nix.conf', '/h/.config/nix/nix.conf', '/m', '/n'],
    'lists all files, including missing ones',
  )
  t.same(requests[1]?.args, [
    '--extra-experimental-features',
    'nix-command',
    'config',
    'show',
    '--json',
  ])
  t.equal(requests[1]?.env?.['PATH'], '/bin')
  t.equal(
    requests[0]?.env?.['NIX_CONF_DIR'],
    '/nonexistent',
    'an invalid nix.conf does not hide the version',
  )
})

t.test('uses the commands of each Nix version', async t => {
  const commandsOf = async (version: string) => {
    const requests: RunRequest[] = []
    await read({ run: nixOf(version, settings({ builders: '' }), requests) })
    return requests.slice(1).map(request => request.args.join(' '))
  }
  const feature = '--extra-experimental-features nix-command'
  t.same(await commandsOf('2.3.16'), ['show-config --json'])
  t.same(await commandsOf('2.8.0'), [`${feature} show-config --json`])
  t.same(await commandsOf('2.20.0'), [`${feature} config show --json`])
  t.same(await commandsOf('2.93.0'), [`${feature} show-config --json`])
  const requests: RunRequest[] = []
  const unknown = { code: 1, stderr: "error: 'config' is not a recognised command" }
  await read({ run: nixOf('2.20.0', unknown, requests) })
  t.equal(requests.length, 3, 'falls back to the other command')
})

t.test('uses the dialect of the version', async t => {
  const files = { '/m': 'ssh://a # x; ssh://b' }
  const from = async (version: string) =>
    origins(await read({ run: nixOf(version, settings({ builders: '@/m' })), files }))
  t.same(await from('2.28.0'), ['a /m:1', 'b /m:1'])
  t.same(await from('2.29.0'), ['a /m:1'])
})

t.test('an inline value has the origin of its assignment', async t => {
  const run = nixOf('2.34.8', settings({ builders: 'a ; b x' }))
  const files = { '/etc/nix/nix.conf': '\nbuilders = a;\nbuilders =  a ;  b x # y\n' }
  t.same(origins(await read({ run, files })), [
    'a /etc/nix/nix.conf:3',
    'b /etc/nix/nix.conf:3',
  ])
  t.same(origins(await read({ run })), ['a builders setting:1', 'b builders setting:1'])
  t.same(origins(await read({ run, env: { NIX_CONFIG: 'x = y\nbuilders = a ; b x' } })), [
    'a NIX_CONFIG:2',
    'b NIX_CONFIG:2',
  ])
})

t.test('an invalid line is a problem with its origin, other lines remain', async t => {
  const answer = await read({
    run: nixOf('2.34.8', settings({ builders: '@/m' })),
    files: { '/m': 'ssh://a\nssh://b - - many\nssh://c\n' },
  })
  t.same(origins(answer), ['a /m:1', 'c /m:3'])
  t.same(answer.problems, [
    {
      file: '/m',
      line: 2,
      message:
        "the maximum number of jobs 'many' (field 4) is not a whole number from 0 to 4294967295: every build on this machine fails until this line is fixed",
      isFatal: true,
    },
  ])
})

t.test('missing machine files are empty, unreadable ones are fatal', async t => {
  const from = async (file: Files[string] | undefined) => {
    const answer = await read({
      run: nixOf('2.34.8', settings({ builders: 'a;@m' })),
      files: file === undefined ? {} : { '/m': file },
    })
    t.equal(answer.builders.length, 1)
    t.ok(answer.files.includes('/m'), 'relative to /')
    return answer.problems.map(p => [p.message, p.isFatal ?? false])
  }
  t.same(await from(undefined), [])
  t.same(await from({ code: 'EISDIR' }), [
    [
      "'/m' cannot be read (EISDIR): every build on this machine fails until this line is fixed",
      true,
    ],
  ])
  t.same(await from({ code: 'EACCES' }), [
    [
      "'/m' is not readable for this user, so its builders are unknown here; every build fails if Nix cannot read it either",
      false,
    ],
  ])
  t.same(await from('@/m'), [
    [
      "'/m' includes itself: every build on this machine fails until this line is fixed",
      true,
    ],
  ])
})

t.test('reads the files of Nix without nix', async t => {
  const files = {
    '/etc/nix/nix.conf':
      'builders = a\nsystem = riscv64-linux\ninclude more.conf\n!include none.conf\n',
    '/etc/nix/more.conf': 'builders = b\n',
    '/etc/nix/machines': 'm\n',
    '/c/nix.conf': 'system = x-linux',
  }
  const from = async (env: Readonly<Record<string, string>>) =>
    origins(await read({ files, env }))
  t.match(await read({ files }), {
    source: 'files',
    nix: { version: null, system: 'riscv64-linux' },
    problems: [],
  })
  t.same(await from({}), ['b /etc/nix/more.conf:1'], 'includes keep their position')
  t.same(
    await from({ NIX_CONFIG: 'builders = n' }),
    ['n NIX_CONFIG:1'],
    'NIX_CONFIG wins',
  )
  t.same(
    await from({ NIX_CONF_DIR: '/c' }),
    [],
    'NIX_CONF_DIR moves the machines file too',
  )
  t.same(
    (await read({ files, env: { NIX_CONF_DIR: '/c' } })).files,
    ['/c/nix.conf', '/etc/xdg/nix/nix.conf', '/c/machines'],
    'a missing file is watched',
  )
  t.match(await read({ arch: 'arm64', platform: 'darwin' }), {
    nix: { system: 'aarch64-darwin' },
  })
})

t.test('the first user file has the highest priority', async t => {
  const files = {
    '/etc/nix/nix.conf': 'builders = system',
    '/h/.config/nix/nix.conf': 'builders = home',
    '/x/nix/nix.conf': 'builders = xdg',
    '/y/nix/nix.conf': 'builders = dirs',
    '/n/nix.conf': 'builders = nixhome',
    '/u1': 'builders = one',
    '/u2': 'builders = two',
  }
  const name = async (env: Readonly<Record<string, string>>) =>
    (await read({ files, env })).builders.map(b => b.name).join()
  t.equal(await name({}), 'system')
  t.equal(await name({ HOME: '/h' }), 'home')
  t.equal(await name({ HOME: '/h', XDG_CONFIG_HOME: '/x', XDG_CONFIG_DIRS: '/y' }), 'xdg')
  t.equal(await name({ HOME: '/none', XDG_CONFIG_DIRS: '/none:/y' }), 'dirs')
  t.equal(await name({ HOME: '/h', NIX_CONFIG_HOME: '/n' }), 'nixhome')
  t.equal(await name({ HOME: '/h', NIX_USER_CONF_FILES: '/u1:/u2' }), 'one')
  t.equal(await name({ HOME: '/h', NIX_USER_CONF_FILES: '' }), 'system')
})

t.test('NIX_REMOTE_SYSTEMS is the default of `builders`', async t => {
  const files = { '/a': 'a', '/b': '\nb' }
  const env = { NIX_REMOTE_SYSTEMS: '/a:/b' }
  t.same(origins(await read({ files, env })), ['a /a:1', 'b /b:2'])
  const broken = nixOf('2.23.0', { code: 1, stderr: 'error: x' })
  t.same(
    origins(await read({ files, env, run: broken })),
    [],
    'two paths are one path before 2.24',
  )
})

t.test('an invalid nix.conf is a problem with its origin', async t => {
  const run = nixOf('2.26.3', {
    code: 1,
    stderr: 'error: syntax error in configuration line',
  })
  const from = async (text: string) => {
    const answer = await read({ run, files: { '/etc/nix/nix.conf': text } })
    t.equal(answer.source, 'files')
    t.equal(answer.nix.version, '2.26.3')
    return answer.problems.map(p => `${p.file}:${p.line} ${p.message} ${p.isFatal}`)
  }
  const end = 'every nix command on this machine fails until this line is fixed true'
  t.same(await from('a = b\nbuilders=x'), [
    `/etc/nix/nix.conf:2 syntax error in 'builders=x' (expected NAME = VALUE): ${end}`,
  ])
  t.same(await from('include /gone'), [
    `/etc/nix/nix.conf:1 the included file '/gone' does not exist: ${end}`,
  ])
  t.same(await from('\ninclude nix.conf'), [
    `/etc/nix/nix.conf:2 '/etc/nix/nix.conf' includes itself: ${end}`,
  ])
})

t.test('reports the error of nix if nix fails for another reason', async t => {
  const from = async (answer: Partial<RunResult>) => {
    const { source, problems, builders } = await read({
      run: nixOf('2.8.0', answer),
      files: { '/etc/nix/nix.conf': 'builders = a\nmin-free = 1G\n' },
    })
    t.same([source, builders.length], ['files', 1])
    return problems.map(p => `${p.line} ${p.message}`)
  }
  t.same(
    await from({
      code: 1,
      stderr:
        "\u001b[31;1merror:\u001b[0m setting 'min-free' has invalid value '1G'\n(use x)\n",
    }),
    [
      "2 setting 'min-free' has invalid value '1G': every nix command on this machine fails until this line is fixed",
    ],
  )
  const instead = (why: string) => [
    `1 Nix does not report its settings (${why}): read from its files instead`,
  ]
  t.same(
    await from({ code: null, aborted: true }),
    instead('nix did not answer within 10 s'),
  )
  t.same(
    await from({ code: null, signal: 'SIGSEGV' }),
    instead('nix exited with SIGSEGV'),
  )
  t.same(await from({ stdout: '{"builders":' }), instead('nix exited with 0'))
  t.same(
    await from({ ...settings({ builders: 'x;y' }), truncated: true }),
    instead('nix exited with 0'),
  )
})

t.test('enforces and reports every limit', async t => {
  const from = async (files: Files, builders = '@/m') => {
    const started = process.cpuUsage()
    const answer = await read({ run: nixOf('2.34.8', settings({ builders })), files })
    const took = cpuMs(started)
    t.ok(took < 10_000, `took ${Math.round(took)} ms`)
    return {
      count: answer.builders.length,
      problems: answer.problems.map(p => p.message),
    }
  }
  t.same(await from({ '/m': 'a\n'.repeat(10_001) }), {
    count: 10_000,
    problems: ['more than 10000 lines: this line and the rest are ignored here'],
  })
  t.match(await from({ '/m': 'a;'.repeat(30_000) }), {
    count: 19_999,
    problems: [/^more than 20000 settings, includes and machines/],
  })
  t.same(await from({ '/m': `a\n${`# ${'x'.repeat(1022)}\n`.repeat(1024)}b\n` }), {
    count: 1,
    problems: ['the file is larger than 1 MiB: the rest is ignored here'],
  })
  t.same(await from({ '/m': `a\n${'x'.repeat(70_000)}\nb` }), {
    count: 2,
    problems: ['the line is longer than 65536 characters: it is ignored here'],
  })
  const chain = Object.fromEntries(
    Array.from({ length: 30 }, (_, i) => [`/${i}`, `h${i}\n@/${i + 1}\n`]),
  )
  t.same(await from(chain, '@/0'), {
    count: 20,
    problems: ["'/20' is included more than 20 levels deep: it is ignored here"],
  })
  const doubling = Object.fromEntries(
    Array.from({ length: 16 }, (_, i) => [`/${i}`, `@/${i + 1};@/${i + 1}`]),
  )
  t.match(await from(doubling, '@/0'), { count: 0, problems: [/^more than 20000/] })
  const bad = await from({ '/m': 'a - - x\n'.repeat(5000) })
  t.equal(bad.problems.length, 101)
  t.equal(bad.problems[100], '4900 more problems from here are not listed')
})

t.test('reads a megabyte of any input within a second', async t => {
  const pieces = [
    '\0',
    ';',
    '\n',
    '@',
    '#',
    ' ',
    'a:',
    '[',
    '%',
    'ssh://a - - x\n',
    '@/m\n',
    'é@',
  ]
  for (const piece of pieces) {
    const text = piece.repeat(1_048_576 / Buffer.byteLength(piece))
    for (const version of ['2.8.0', '2.26.3', '2.34.8']) {
      const started = process.cpuUsage()
      const answer = await read({
        run: nixOf(version, settings({ builders: '@/m' })),
        files: { '/m': text, '/etc/nix/nix.conf': text },
      })
      const took = cpuMs(started)
      t.ok(took < 1000, `${JSON.stringify(piece)}, ${version}: ${Math.round(took)} ms`)
      t.ok(answer.problems.length <= 101)
    }
  }
})

t.test('never rejects', async () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 100 }),
    fc
      .array(
        fc.constantFrom(
          'include ',
          '!include ',
          '@',
          '/m',
          'b',
          '\n',
          ';',
          '#',
          ' ',
          'builders = ',
        ),
        { maxLength: 30 },
      )
      .map(parts => parts.join('')),
  )
  await fc.assert(
    fc.asyncProperty(text, text, text, fc.boolean(), async (conf, m, inline, isTold) => {
      const answer = await read({
        run: isTold ? nixOf('2.26.3', settings({ builders: inline })) : noNix,
        files: {
          '/etc/nix/nix.conf': conf,
          '/etc/nix/machines': m,
          '/m': m,
          '/b': inline,
        },
      })
      const names = new Set(answer.builders.map(b => b.name))
      return (
        names.size === answer.builders.length &&
        answer.problems.every(
          p => p.line >= 1 && p.file !== '' && !p.message.includes('\n'),
        )
      )
    }),
    { numRuns: 300 },
  )
})

t.test('reads real files up to the limit', async t => {
  const dir = t.testdir({ small: 'text ü' })
  t.equal(await readTextFile(join(dir, 'small'), 100), 'text ü')
  writeFileSync(join(dir, 'large'), 'x'.repeat(300_000))
  t.equal((await readTextFile(join(dir, 'large'), 200_000)).length, 200_001)
  await t.rejects(readTextFile(join(dir, 'none'), 10), { code: 'ENOENT' })
  await t.rejects(readTextFile(dir, 10), { code: 'EISDIR' })
  t.equal(await readTextFile('/dev/null', 10), '')
})

t.test('reads TOML lists of Lix', async t => {
  const toml =
    '# fleet\n[machines.a]\nuri = "ssh://a"\n\n[machines."b c"]\nuri = "ssh://b"\njobs = 3\n'
  const lix = async (version: string, builders: string, files: Files = {}) => {
    const run = nixOf(version, settings({ builders }))
    return read({ run, files })
  }
  for (const version of ['2.95.0', '2.96.0-dev']) {
    const answer = await lix(version, '@/m.toml', { '/m.toml': toml })
    t.same(origins(answer), ['a /m.toml:2', 'b /m.toml:5'], version)
    t.same(answer.problems, [])
    t.ok(answer.files.includes('/m.toml'), 'the file is watched')
    t.same(origins(await lix(version, toml)), [
      'a builders setting:2',
      'b builders setting:5',
    ])
    const lines = await lix(version, '@/m', { '/m': 'ssh://a\nssh-ng://b x\n' })
    t.same(origins(lines), ['a /m:1', 'b /m:2'], 'lines are still accepted')
    t.same((await lix(version, '@/none')).problems, [], 'a missing file is an empty one')
    t.match((await lix(version, toml.replace('3', '-3'))).problems, [
      { line: 5, isFatal: true, message: /`jobs` of machine 'b c'/ },
    ])
  }
  const older = await lix('2.94.0', '@/m.toml', { '/m.toml': toml })
  t.match(
    older.builders.map(builder => builder.tomlName ?? 'a line'),
    ['a line'],
    'older Lix parses it as lines',
  )
  const broken = { '/m': toml.replace('"ssh://a"', 'ssh://a'), '/m.toml': '= 5' }
  t.match((await lix('2.95.0', '@/m.toml', broken)).problems, [
    { file: '/m.toml', line: 1, isFatal: true, message: /this is not TOML/ },
  ])
  t.match(
    (await lix('2.96.0', '@/m', broken)).problems,
    [{ file: '/m', line: 3, isFatal: true, message: /this is not TOML/ }],
    'a list without quotes is still TOML',
  )
  t.match((await lix('2.96.0', '@/none.toml')).problems, [
    { isFatal: true, message: /none\.toml' cannot be read \(no such file\)/ },
  ])
})

t.test('reads an endless TOML list up to the limits', async t => {
  const many = Array.from(
    { length: 30_000 },
    (_, i) => `[machines.m${i}]\nuri="ssh://m${i}"`,
  )
  const started = process.cpuUsage()
  const large = await read({
    run: nixOf('2.95.0', settings({ builders: '@/m' })),
    files: { '/m': many.join('\n') },
  })
  t.ok(large.builders.length > 10_000 && large.builders.length <= 20_000)
  t.match(large.problems.at(-1)?.message, /more than|larger than/)
  t.ok(cpuMs(started) < 10_000, 'within ten seconds of processor time')
})
