/** `check --canary --json` against real builders: what a canary leaves behind, and the choice of builders. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import {
  atClient,
  check,
  clientNames,
  clients,
  nodes,
  schemes,
  shared,
  uriOf,
  type Line,
} from './support.ts'

t.setTimeout(600_000)

for (const client of clientNames)
  void t.test(`a canary from Nix ${clients[client]}`, async t => {
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

    await t.test('succeeds and leaves nothing on the client', async t => {
      // A canary has its own store, so the local one must not change. The check of the build hook leaves one derivation,
      // always the same
      const listClient =
        'ls -A /tmp; ls -A /nix/store /nix/var/nix/gcroots/auto 2>/dev/null | grep -v -e builder-monitor-trial -e ^.links -e :$; ls -A /root' +
        (client === 'host'
          ? ''
          : '; processes=$(ps -e -o comm=); echo "$processes" | grep -v -x -e ps -e sh | sort')
      const before = await atClient(client, listClient)
      const ran = await check({ client, lines })
      const after = await atClient(client, listClient)
      t.equal(ran.exit, 0, 'the fleet is healthy', { stderr: ran.stderr })
      t.equal(
        after.stdout,
        before.stdout,
        'no file, store path, GC root or process is left',
      )
    })
    await t.test('does not run the post-build-hook', async t => {
      const { answer } = await check({ client, lines, config })
      t.equal(answer.state, 'healthy', 'the fleet is healthy with a hook')
      t.ok(
        answer.builders.every(b => b.verified),
        'every builder is verified',
      )
      const calls = await atClient(client, `cat ${called}`)
      t.equal(calls.stdout, '', 'no canary called the hook')
      const nonce = Math.random().toString(36)
      const drv = `derivation { name = "hook"; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo > $out" ]; n = "${nonce}"; }`
      const built = await atClient(client, `nix-build --no-out-link -E '${drv}'`, {
        NIX_CONFIG: `${config}\nbuilders =`,
      })
      const control = await atClient(client, `cat ${called}`)
      t.match(control.stdout, /-hook/, 'another build calls it', { stderr: built.stderr })
    })
    await dir.drop()
  })

void t.test('checks only the named builders', async t => {
  const lines = nodes.map((node): Line => ({ scheme: 'ssh-ng', host: node }))
  const { answer } = await check({
    client: 'c3',
    lines,
    args: ['check', 'b2', '--canary', '--json'],
  })
  t.strictSame(
    answer.builders.map(b => b.storeUri),
    lines.filter(({ host }) => host === 'b2').map(uriOf),
  )
})
