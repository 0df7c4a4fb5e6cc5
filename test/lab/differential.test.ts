/** Compares our parser of `builders` with the build hook of real Nix: errors, machines and ssh calls are equal. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import t from 'tap'
import { readMachines } from '../../src/config/builders/machine-files.ts'
import {
  defaultBuilders,
  readNixFiles,
} from '../../src/config/builders/nix-conf-files.ts'
import { createTextSource } from '../../src/config/builders/text-source.ts'
import { dialectOf } from '../../src/nix/dialect.ts'
import { readSettings, stringSetting } from '../../src/nix/settings.ts'
import { isSshScheme, sshDestination } from '../../src/nix/machines/store-uri.ts'

t.jobs = 3

const lab = new URL('lab.sh', import.meta.url).pathname
const nodes = [
  { name: 'c1', version: '2.8.0' },
  { name: 'c2', version: '2.26.3' },
  { name: 'c3', version: '2.34.8' },
]

/** Files on the nodes during the test. */
const files: Readonly<Record<string, string>> = {
  '/tmp/diff/m1': 'ssh://a\n\nssh://b x86_64-linux,i686-linux - 4 2 kvm,big kvm\n',
  '/tmp/diff/m2': '# fleet\n@/tmp/diff/m1\nc\n',
  '/tmp/diff/crlf': 'ssh://a\r\nssh://b\r\n',
  '/tmp/diff/crlf-blank': 'ssh://a\r\n\r\nssh://b\r\n',
  '/tmp/diff/bad': 'ssh://a\nssh://b - - many\n',
}

const machineLists = [
  '',
  'ssh://a',
  'ssh://a # note',
  '# old ; ssh://a',
  '   ',
  '\t',
  '   # c',
  'ssh://a;   ',
  'ssh://a;;ssh://b',
  'ssh://a\n\nssh://b',
  ' ssh://a',
  ' @/tmp/diff/m1',
  '@/tmp/diff/m1',
  '@ /tmp/diff/m1 ',
  '@/tmp/diff/m1 # x',
  '@/tmp/diff/m1 @/tmp/diff/m2',
  '@/tmp/diff/m1;@/tmp/diff/m2',
  '@/tmp/diff/m2',
  '@tmp/diff/m1',
  '@/tmp/diff/missing',
  '@',
  '@/tmp/diff',
  '@/etc/hostname/x',
  '@/tmp/diff/crlf',
  '@/tmp/diff/crlf-blank',
  '@/tmp/diff/bad',
  '-',
  '- x86_64-linux',
  'ssh://a - - - - - - -',
  'ssh://a , - 1 1 , ,',
  'ssh://a ,x,,y, - 1 1 b,,a c',
  'ssh://a x,x - 1 1 f,f',
  'ssh://a x86_64-linux /key 4 2 f m c3NoLWVkMjU1MTkgQUFBQQo= extra words',
  'ssh://a\tx\r/key  3',
  ...[
    '0',
    '+5',
    '-1',
    '007',
    '4294967295',
    '4294967296',
    '0x10',
    '1.5',
    'auto',
    '1e3',
    '١',
  ].map(jobs => `ssh://a - - ${jobs}`),
  ...[
    '0',
    '2',
    '1.5',
    '.5',
    '5.',
    '1e3',
    '1e',
    '1e39',
    '-0',
    '-1',
    '+2',
    '0x1',
    'inf',
    'NaN',
    'infinity',
    '-inf',
    '1e-60',
    '4294967296',
  ].map(speed => `ssh://a - - 1 ${speed}`),
  ...['AAAA', 'AAAA=', 'AA=!!', '=', '!!!!', 'A-B_', 'AAAA\u00e4'].map(
    key => `ssh://a - - 1 1 - - ${key}`,
  ),
]

const uriLists = [
  'host',
  'user@host',
  'user@host:2222',
  'host:port',
  'host/x',
  'host:22/x',
  './x',
  '/x',
  'auto',
  'auto?x=1',
  'automat',
  'daemon',
  'daemon?x=1',
  'daemons',
  'local',
  'local?root=/tmp/diff/r',
  'localhosts',
  '?x=1',
  'ssh://',
  'ssh://?x=1',
  'ssh://@a',
  'ssh://-a',
  'ssh://-u@a',
  'ssh://a:2222',
  'ssh://a:',
  'ssh://a:0',
  'ssh://a:65536',
  'ssh://a:x',
  'ssh://u:p@a',
  'ssh://u@v@a',
  'ssh://u%41@a%42',
  'ssh://a%4',
  'ssh://a_b',
  'ssh://a"b',
  "ssh://a'b",
  'ssh://a|b',
  'ssh://ä',
  'ssh://a/some/path',
  'ssh://a/',
  'ssh://::1',
  '::1',
  'u@::1',
  'ssh://u@::1',
  'ssh://[::1]',
  'ssh://u@[::1]',
  'ssh://u@[::1]:22',
  'ssh://[::1',
  'ssh://[v1.x]',
  'ssh://[abc]',
  'ssh://1:2',
  'ssh://fe80::1%eth0',
  'ssh://[fe80::1%eth0]',
  'ssh://[fe80::1%25eth0]',
  'ssh://u@fe80::1%eth-0',
  'ssh-ng://a?compress=true&x&remote-store=%2Ftmp%20a',
  'ssh-ng://a?compress=%zz',
  'ssh-ng://a?compress=true|',
  'ssh-ng://a?x[1]=2',
  'auto?x=|',
  'SSH://a',
  'foo://a',
  'foo:bar://x',
  'foo+bar://x',
  '1foo://x',
  'http://a.invalid/b?c',
  'unix:///tmp/diff/sock',
  'ssh:a',
  'ssh:/a',
  'ssh:///a',
  'https://',
]

interface HookResult {
  readonly isRejected: boolean
  readonly machines: readonly string[]
  readonly calls: readonly string[]
}

/** Runs the hook with each list; `system` is that of the derivation. */
const runHook = async (
  node: string,
  lists: readonly string[],
  system: string,
): Promise<readonly HookResult[]> => {
  const write = Object.entries(files).map(
    ([path, text]) => `echo ${b64(text)} | base64 -d >${path}`,
  )
  const script = `
mkdir -p /tmp/diff/bin; cd /
${write.join('\n')}
printf '%s\\n' '#!/bin/bash' 'IFS="|"; echo "$*|" >>/tmp/diff/calls; exit 255' >/tmp/diff/bin/ssh
chmod +x /tmp/diff/bin/ssh
export PATH=/tmp/diff/bin:$PATH
for l in ${lists.map(list => `"${b64(list)}"`).join(' ')}; do
  : >/tmp/diff/calls
  list=$(echo "$l" | base64 -d; echo x); list=\${list%x}
  echo "@@ list"
  timeout 60 nix-build --no-out-link --max-jobs 0 --builders "$list" \\
    -E 'derivation { name = "d"; system = "${system}"; builder = "/bin/sh"; }' 2>&1 </dev/null
  echo "@@ calls"
  cat /tmp/diff/calls
done
rm -rf /tmp/diff`
  const running = promisify(execFile)('bash', [lab, 'exec', node, 'bash', '-s'], {
    timeout: 400_000,
    maxBuffer: 16 * 1_048_576,
  })
  running.child.stdin?.end(script)
  const { stdout } = await running
  return stdout.split('@@ list\n').slice(1).map(parseHookOutput)
}

const parseHookOutput = (output: string): HookResult => {
  const [text = '', calls = ''] = output.split('@@ calls\n')
  const lines = text.split('\n')
  const head = lines.indexOf('(systems, maxjobs, supportedFeatures, mandatoryFeatures)')
  const rest = head < 0 ? [] : lines.slice(head + 1)
  const end = rest.findIndex(line => !line.startsWith('('))
  return {
    isRejected:
      /bad machine specification|Cannot parse Nix store|speed factor must|invalid character in Base64|unexpected EOF|invalid URI|Is a directory|Not a directory|reading a line/.test(
        text,
      ),
    machines: rest.slice(0, end < 0 ? undefined : end),
    calls: calls
      .split('\n')
      .filter(line => line !== '' && !line.startsWith('-O'))
      .map(line => {
        const port = /\|-p(\d+)\|/.exec(line)?.[1] ?? '-'
        return `${line.split('|', 1)[0] ?? ''} ${port}`
      }),
  }
}

const parseList = async (
  list: string,
  version: string,
): Promise<HookResult & { problems: number }> => {
  const dialect = dialectOf(version)
  const source = createTextSource(path => {
    const text = files[path]
    const code =
      path === '/tmp/diff'
        ? 'EISDIR'
        : path.startsWith('/etc/hostname/')
          ? 'ENOTDIR'
          : 'ENOENT'
    return text === undefined
      ? Promise.reject(Object.assign(new Error(code), { code }))
      : Promise.resolve(text)
  })
  const origin = { file: 'list', line: 1 }
  const { machines, problems } = await readMachines(
    { value: list, origin },
    source,
    dialect,
    'x86_64-linux',
  )
  const isRejected = problems.some(problem => problem.isFatal)
  const sorted = (items: readonly string[]) => [...new Set(items)].sort()
  const set = (items: readonly string[]) =>
    version === '2.8.0' ? items.join(', ') : `[${items.join(', ')}]`
  return {
    problems: problems.length,
    isRejected,
    machines: isRejected
      ? []
      : machines.map(
          m =>
            `(${set(version === '2.8.0' ? m.systems : sorted(m.systems))}, ${m.maxJobs}, ${set(sorted(m.supportedFeatures))}, ${set(sorted(m.mandatoryFeatures))})`,
        ),
    calls: isRejected
      ? []
      : machines.flatMap(m => {
          const to = sshDestination(m, dialect)
          return to && problems.length === 0
            ? [`${to.destination} ${to.port ?? '-'}`]
            : []
        }),
  }
}

const b64 = (text: string): string => Buffer.from(text).toString('base64')

interface Configuration {
  readonly conf: string
  readonly env?: Readonly<Record<string, string>>
}

const directory = '/tmp/diff-conf'
const confFiles: Readonly<Record<string, string>> = {
  [`${directory}/d/inc.conf`]: 'builders = included\n',
  [`${directory}/d/outer.conf`]: 'include inc.conf\n',
  [`${directory}/h/.config/nix/nix.conf`]: '',
  [`${directory}/home/.config/nix/nix.conf`]: 'builders = home\n',
  [`${directory}/x/nix/nix.conf`]: 'builders = xdg\n',
}
const homeEnv = { HOME: `${directory}/home` }
const configurations: readonly Configuration[] = [
  ...[
    '',
    'builders = a',
    'builders = a\nbuilders = b',
    'builders = a\ninclude d/inc.conf',
    'include d/inc.conf\nbuilders = a',
    'include d/outer.conf',
    `include ${directory}/d/inc.conf # c`,
    'builders = a\n!include d/none',
    'builders = a\ninclude d/none',
    'builders = a\ninclude d',
    'builders = a\ninclude d/inc.conf/x',
    'builders = a\ninclude d/inc.conf x',
    'include nix.conf',
    'builders',
    'builders=',
    'builders =',
    'builders == a',
    'builders = = a',
    'builders = a b\tc  ; d # e',
    'builders = a\r\n\r\n',
    '\tbuilders\t=\ta',
    '= b c',
    'include = x',
    'include',
    'extra-builders = a',
  ].map(conf => ({ conf })),
  { conf: '', env: { NIX_REMOTE_SYSTEMS: '' } },
  { conf: '', env: { NIX_REMOTE_SYSTEMS: '/a' } },
  { conf: '', env: { NIX_REMOTE_SYSTEMS: '/a::/b' } },
  { conf: 'builders = a', env: { NIX_REMOTE_SYSTEMS: '/a' } },
  { conf: 'builders = a', env: homeEnv },
  { conf: '', env: { ...homeEnv, XDG_CONFIG_DIRS: `${directory}/x` } },
  { conf: '', env: { XDG_CONFIG_DIRS: `${directory}/x` } },
  { conf: '', env: { ...homeEnv, XDG_CONFIG_HOME: `${directory}/x` } },
  { conf: '', env: { ...homeEnv, NIX_CONFIG_HOME: `${directory}/x/nix` } },
  { conf: 'builders = a', env: { ...homeEnv, NIX_USER_CONF_FILES: '' } },
  {
    conf: '',
    env: {
      ...homeEnv,
      NIX_USER_CONF_FILES: `${directory}/x/nix/nix.conf:${directory}/d/inc.conf`,
    },
  },
  { conf: '', env: { ...homeEnv, NIX_CONFIG: 'builders = c # d' } },
  { conf: '', env: { NIX_CONFIG: 'include d/inc.conf' } },
  { conf: '', env: { NIX_CONFIG: `include ${directory}/d/inc.conf` } },
  { conf: '', env: { NIX_CONFIG: 'bad' } },
  { conf: 'builders = a', env: { NIX_CONFIG: '' } },
]
const envOf = ({ env }: Configuration) => ({
  HOME: `${directory}/h`,
  NIX_CONF_DIR: directory,
  ...env,
})

/** Returns the `builders` of each configuration; null if Nix rejects it. */
const readNixSettings = async (node: string): Promise<readonly (string | null)[]> => {
  const script = [
    ...Object.entries(confFiles).map(
      ([path, text]) =>
        `mkdir -p $(dirname ${path}); echo ${b64(text)} | base64 -d >${path}`,
    ),
    ...configurations.map(configuration => {
      const set = Object.entries(envOf(configuration)).map(
        ([key, value]) => `'${key}=${value}'`,
      )
      return `echo ${b64(configuration.conf)} | base64 -d >${directory}/nix.conf; echo '@@ list'
env ${set.join(' ')} timeout 60 nix --extra-experimental-features nix-command show-config --json 2>/dev/null`
    }),
    `rm -rf ${directory}; true`,
  ].join('\n')
  const running = promisify(execFile)('bash', [lab, 'exec', node, 'bash', '-s'], {
    timeout: 400_000,
    maxBuffer: 16 * 1_048_576,
  })
  running.child.stdin?.end(script)
  const { stdout } = await running
  return stdout
    .split('@@ list\n')
    .slice(1)
    .map(json => stringSetting(readSettings(json) ?? new Map(), 'builders'))
}

const readOurSetting = async (configuration: Configuration, version: string) => {
  const files: Readonly<Record<string, string>> = {
    ...confFiles,
    [`${directory}/nix.conf`]: configuration.conf,
  }
  const source = createTextSource(path => {
    const text = files[path]
    const code =
      path === `${directory}/d`
        ? 'EISDIR'
        : path.includes('.conf/')
          ? 'ENOTDIR'
          : 'ENOENT'
    return text === undefined
      ? Promise.reject(Object.assign(new Error(code), { code }))
      : Promise.resolve(text)
  })
  const dialect = dialectOf(version)
  const env = envOf(configuration)
  const { settings, problems } = await readNixFiles(source, env, dialect)
  if (problems.some(problem => problem.isFatal)) return null
  return (settings.get('builders') ?? defaultBuilders(env, dialect)).value
}

for (const { name, version } of nodes)
  t.test(
    `reads the same builders setting as Nix ${version}`,
    { skip: process.env['LAB'] !== '1' && 'needs the lab: npm run test:lab' },
    async t => {
      const expected = await readNixSettings(name)
      t.equal(expected.length, configurations.length, 'a result for every configuration')
      for (const [i, configuration] of configurations.entries())
        t.equal(
          await readOurSetting(configuration, version),
          expected[i],
          `builders of ${JSON.stringify(configuration)}`,
        )
    },
  )

for (const { name, version } of nodes)
  t.test(
    `parses lists like the hook of Nix ${version}`,
    { skip: process.env['LAB'] !== '1' && 'needs the lab: npm run test:lab' },
    async t => {
      const lists = [...machineLists, ...uriLists]
      const expected = await runHook(name, lists, 'unsupported-system')
      t.equal(expected.length, lists.length, 'a result for every list')
      for (const [i, list] of lists.entries()) {
        const ours = await parseList(list, version)
        t.equal(
          ours.isRejected,
          expected[i]?.isRejected,
          `accepts or rejects ${JSON.stringify(list)}`,
        )
        t.same(
          ours.machines,
          expected[i]?.machines,
          `lists the machines of ${JSON.stringify(list)}`,
        )
      }
      // Only lists with ssh: others would really build
      const parsedUris = await Promise.all(
        uriLists.map(async list => ({
          list,
          ours: await parseList(list, version),
          uri: await schemeOf(list, version),
        })),
      )
      const sshLists = parsedUris.filter(
        ({ uri, ours }) => uri !== null && isSshScheme(uri) && ours.problems === 0,
      )
      const calls = await runHook(
        name,
        sshLists.map(({ list }) => list),
        'x86_64-linux',
      )
      for (const [i, { list, ours }] of sshLists.entries())
        t.same(
          ours.calls,
          calls[i]?.calls,
          `calls the same ssh for ${JSON.stringify(list)}`,
        )
    },
  )

const schemeOf = async (list: string, version: string): Promise<string | null> => {
  const origin = { file: 'list', line: 1 }
  const source = createTextSource(() => Promise.reject(new Error('no files')))
  const { machines } = await readMachines(
    { value: list, origin },
    source,
    dialectOf(version),
    'x',
  )
  return machines[0]?.scheme ?? null
}
