/** The programs that show whether a builder executes another system, and their way into the canary. */
import { spawnSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { canaryExpression, importedSeeds } from '../../src/probes/canary/derivation.ts'
import { programExitCode, programFor } from '../../src/probes/canary/executables.ts'

t.test('a program for this machine ends with its exit code', async t => {
  const names: Readonly<Record<string, string>> = { x64: 'x86_64', arm64: 'aarch64' }
  const program = programFor(`${names[process.arch] ?? process.arch}-linux`)
  if (process.platform !== 'linux' || !program) return t.pass('no program for it')
  const directory = await mkdtemp(join(tmpdir(), 'builder-monitor-test-'))
  t.teardown(() => rm(directory, { recursive: true }))
  const file = join(directory, 'program')
  await writeFile(file, program, { mode: 0o755 })
  t.equal(spawnSync(file).status, programExitCode)
})

t.test('has a small program for each usual system of Linux', async t => {
  for (const name of ['x86_64', 'i686', 'aarch64', 'armv7l', 'riscv64'])
    t.match(programFor(`${name}-linux`)?.length, /^(?:96|132)$/, name)
  for (const system of ['aarch64-darwin', 'builtin', 'toString-linux', 'mips-linux', ''])
    t.equal(programFor(system), null, system)
})

t.test('the build of a system executes its input', async t => {
  const { seedOf, archive } = importedSeeds('nonce', ['aarch64-linux', 'x86_64-darwin'])
  const request = { nonce: 'n', features: [], builder: 'shell' } as const
  const expression = (system: string) =>
    canaryExpression({ ...request, system, seed: seedOf(system) })
  t.match(expression('aarch64-linux'), /isProgram = "1";/)
  t.notMatch(expression('x86_64-darwin'), /isProgram = /)
  t.not(seedOf('aarch64-linux').expression, seedOf('x86_64-darwin').expression)
  const text = Buffer.from(archive).toString('latin1')
  t.equal(text.split('nix-archive-1').length - 1, 2)
  t.equal(text.split('executable').length - 1, 1)
})
