/** Real builds with the machines file that the monitor writes, as programs without the build hook use it. */
import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { freePort } from '../support/free-port.ts'
import { startProgram } from './program.ts'
import { atClient, machineLine, nodes, shared, waitFor, type Client } from './support.ts'

const skip = process.env['LAB'] !== '1' && 'needs the lab: npm run test:lab'
t.setTimeout(600_000)

const main = 'node /lab/project/dist/main.js'
const lineOf = (host: string) => `${machineLine({ scheme: 'ssh-ng', host })}\n`
const derivations = `{ n, tag }:
builtins.genList (i: derivation {
  name = "\${tag}-\${toString i}";
  system = "x86_64-linux";
  builder = "/bin/sh";
  # So long that each slot gets one
  args = [ "-c" "sleep 3; echo $nonce > $out" ];
  PATH = "/usr/bin:/bin";
  nonce = "\${toString builtins.currentTime}-\${toString i}";
}) n`

const start = async (t: Test, client: Client) => {
  const dir = await shared()
  const source = `${dir.inside}/machines`
  const target = join(dir.outside, 'for-hydra')
  // An include, a comment and an empty line, which the copy does not have
  await writeFile(join(dir.outside, 'more'), `# more\n\n${lineOf('b3')}`)
  await writeFile(
    join(dir.outside, 'machines'),
    `${lineOf('b1')}# second\n${lineOf('b2')}@${dir.inside}/more\n`,
  )
  await writeFile(join(dir.outside, 'builds.nix'), derivations)
  await writeFile(
    join(dir.outside, 'config.json'),
    JSON.stringify({
      listen: [`127.0.0.1:${await freePort()}`],
      quarantine: { machinesFile: `${dir.inside}/for-hydra` },
    }),
  )
  const env = { NIX_CONFIG: `builders = @${source}` }
  const exports = `export RUNTIME_DIRECTORY=${dir.inside} STATE_DIRECTORY=${dir.inside}`
  const script = new URL('lab.sh', import.meta.url).pathname
  const monitor = startProgram(
    'bash',
    [
      script,
      ...['client', client, 'sh', '-c'],
      `${exports}; echo $$ >${dir.inside}/pid; exec ${main} run --config ${dir.inside}/config.json`,
    ],
    env,
  )
  t.teardown(async () => {
    await monitor.stop()
    await dir.drop()
  })
  const command = (args: string) => atClient(client, `${exports}; ${main} ${args}`, env)
  const read = () => readFile(target, 'utf8').catch(() => '')
  await waitFor('the file', 30, async () => ((await read()) === '' ? null : true))
  /** Builds with the file alone. Returns the hosts of its builds. */
  const build = async (tag: string) => {
    const ran = await atClient(
      client,
      `NIX_CONFIG= timeout 120 nix-build --no-out-link --max-jobs 0 --option substitute false --builders @${dir.inside}/for-hydra --argstr tag ${tag} --arg n 6 ${dir.inside}/builds.nix`,
    )
    t.equal(ran.exit, 0, ran.stderr.slice(-500))
    const hosts = [...ran.stderr.matchAll(/ on 'ssh-ng:\/\/remotebuild@(b\d)'/g)]
    return [...new Set(hosts.map(([, host = '']) => host))].sort()
  }
  const kill = () => atClient(client, `kill -9 $(cat ${dir.inside}/pid)`)
  return { dir, target, command, read, build, kill }
}

for (const client of ['c1', 'c3'] as const)
  t.test(
    `a drained builder is not in the machines file, ${client}`,
    { skip },
    async t => {
      const { dir, target, command, read, build, kill } = await start(t, client)
      const all = nodes.map(lineOf).join('')
      t.equal(await read(), all, 'includes are expanded')
      t.equal((await stat(target)).mode & 0o777, 0o644)
      t.same(await build('all'), ['b1', 'b2', 'b3'])
      // There is no slot holder, which such a program does not need
      const drained = await command('drain b2')
      t.match(drained.stderr, 'builds are not kept away')
      t.equal(await read(), ['b1', 'b3'].map(lineOf).join(''))
      t.same(await build('drained'), ['b1', 'b3'])
      const undrained = await command('undrain b2')
      t.equal(undrained.exit, 0, undrained.stderr)
      t.equal(await read(), all)

      await command('drain b1 b2')
      t.same(await build('one'), ['b3'])
      await kill()
      // ExecStopPost of the unit
      const written = await command(`write-machines --config ${dir.inside}/config.json`)
      t.equal(written.exit, 0, written.stderr)
      t.equal(await read(), all, 'all builders after a crash')
      t.same(await build('crash'), ['b1', 'b2', 'b3'])
    },
  )

t.test('findings about the timeouts of the ssh of Nix', { skip }, async t => {
  const dir = await shared()
  t.teardown(() => dir.drop())
  await writeFile(join(dir.outside, 'machines'), nodes.map(lineOf).join(''))
  const config = '/etc/ssh/ssh_config'
  const findings = async () => {
    const { stdout } = await atClient('c3', `${main} check --json`, {
      NIX_CONFIG: `builders = @${dir.inside}/machines`,
    })
    const { findings } = JSON.parse(stdout) as {
      findings: readonly { rule: string; message: string; fix: string }[]
    }
    return findings.filter(({ rule }) => /^no_(?:connect_timeout|keepalive)$/.test(rule))
  }
  const before = await findings()
  t.match(before, [
    {
      rule: 'no_connect_timeout',
      message: /^ssh of root has no ConnectTimeout for b1, b2, b3/,
    },
    { rule: 'no_keepalive' },
  ])
  await atClient('c3', `cp ${config} ${config}.before`)
  t.teardown(() => atClient('c3', `mv ${config}.before ${config}`))
  await writeFile(
    join(dir.outside, 'lines'),
    before.map(({ fix }) => `${fix}\n`).join(''),
  )
  await atClient('c3', `cat ${dir.inside}/lines ${config}.before >${config}`)
  t.same(await findings(), [], 'the lines that it says to write end them')
})
