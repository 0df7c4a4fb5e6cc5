/**
 * `npm run test:lab -- --calm 10m`: the daemon watches a healthy fleet under load. Real builds from three clients use all
 * slots, one builder collects garbage continuously, one link has 64 kbit/s, one sshd drops logins at random. Every
 * builder must stay healthy.
 */
import { spawn } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import {
  atClient,
  fault,
  heal,
  labDir,
  machineLine,
  nodes,
  schemes,
  shared,
  waitFor,
} from './support.ts'
import { freePort } from '../support/free-port.ts'

const [, amount, unit] = /^(\d+)([smh]?)$/.exec(process.env['LAB_CALM'] ?? '') ?? []
const seconds = Number(amount ?? 60) * { s: 1, m: 60, h: 3600 }[unit || 's']!
t.setTimeout((seconds + 240) * 1000)

const load = [
  ['b1', 'gc-run'],
  ['b2', 'slow'],
  ['b3', 'sshd-crowd'],
] as const
const builders = ['c1', 'c2', 'c3'] as const

/** More builds than there are slots. */
const builds = `
builtins.genList (i: derivation {
  name = "calm-\${toString i}";
  system = "x86_64-linux";
  builder = "/bin/sh";
  args = [ "-c" "sleep 4; echo $nonce > $out" ];
  PATH = "/usr/bin:/bin";
  nonce = "\${toString builtins.currentTime}-\${toString i}";
}) 8`

interface LogLine {
  readonly time: string
  readonly msg: string
  readonly builder?: string
  readonly state?: string
  readonly kind?: string
  readonly probe?: string
}

void t.test(`a healthy fleet under load stays healthy for ${seconds} s`, async t => {
  const port = await freePort()
  const dir = await shared()
  const lines = schemes.flatMap((scheme, i) =>
    nodes.map(node => machineLine({ scheme, host: `v${i + 1}.${node}` })),
  )
  const everySeconds = (step: number) => `*/${step} * * * * *`
  const schedule = {
    login: everySeconds(10),
    system: everySeconds(20),
    disk: everySeconds(10),
    memory: everySeconds(10),
    canary: everySeconds(30),
    slots: everySeconds(5),
  }
  await writeFile(join(dir.outside, 'machines'), `${lines.join('\n')}\n`)
  await writeFile(join(dir.outside, 'builds.nix'), builds)
  await writeFile(
    join(dir.outside, 'config.json'),
    JSON.stringify({ listen: [`127.0.0.1:${port}`], schedule }),
  )
  const config = { NIX_CONFIG: `builders = @${dir.inside}/machines` }
  let done = 0
  let stop = false
  const build = async (client: (typeof builders)[number]) => {
    while (!stop) {
      const ran = await atClient(
        client,
        `cd /tmp && NIX_REMOTE=daemon nix-build --no-out-link --max-jobs 0 --option substitute false ${dir.inside}/builds.nix; nix-store --gc >/dev/null 2>&1`,
        config,
      )
      done += ran.stdout.split('\n').filter(Boolean).length
    }
  }
  t.teardown(async () => {
    stop = true
    await Promise.all(nodes.map(heal))
    await dir.drop()
  })
  for (const [node, name] of load) await fault(node, name)
  const building = Promise.all(builders.map(build))

  const script = fileURLToPath(new URL('lab.sh', import.meta.url))
  const child = spawn(
    'bash',
    [
      ...[script, 'client', 'host', 'node', '/lab/project/dist/main.js', 'run'],
      ...['--config', `${dir.inside}/config.json`],
    ],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, ...config, LAB_NODE_BIN: process.execPath },
    },
  )
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
  const ended = new Promise<number | null>(resolve => child.on('close', resolve))
  t.teardown(() => void child.kill('SIGTERM'))
  const metrics = async () =>
    await fetch(`http://127.0.0.1:${port}/metrics`).then(
      answer => answer.text(),
      () => null,
    )
  const samples = (text: string, family: string) =>
    text.split('\n').filter(line => line.startsWith(`${family}{`))
  const states = (text: string, state: string) =>
    samples(text, 'nix_builder_state').filter(
      line => line.includes(`state="${state}"`) && line.endsWith(' 1'),
    ).length
  await waitFor('all builders to be healthy', 60, async () => {
    const text = await metrics()
    return text !== null && states(text, 'healthy') === lines.length ? true : null
  }).catch(() => t.fail('the fleet does not become healthy'))

  await new Promise(resolve => setTimeout(resolve, seconds * 1000))
  const last = (await metrics()) ?? ''
  stop = true
  child.kill('SIGTERM')
  await ended
  const changes = output
    .split('\n')
    .filter(line => line.includes('health changed'))
    .map(line => JSON.parse(line) as LogLine)
  const alarms = changes.filter(({ state }) => state !== 'healthy')
  const failures = samples(last, 'nix_builder_probe_failures_total').filter(
    line => !line.endsWith(' 0'),
  )
  await writeFile(
    join(labDir, 'calm.txt'),
    [
      `${seconds} s under load, ${lines.length} builders, ${done} real builds: ${alarms.length} alarms`,
      ...alarms.map(
        ({ time, builder, state, kind, probe }) =>
          `  ${time} ${builder}: ${state} ${kind ?? ''} (${probe ?? '-'})`,
      ),
      'probes that failed or waited:',
      ...(failures.length ? failures.map(line => `  ${line}`) : ['  none']),
      '',
    ].join('\n'),
  )
  t.strictSame(
    alarms.map(({ builder, state, kind }) => `${builder} ${state} ${kind ?? ''}`),
    [],
    'no alarm',
  )
  t.equal(states(last, 'healthy'), lines.length, 'every builder is healthy at the end')
  t.ok(done > 0, `${done} real builds succeeded`)
  await building
})
