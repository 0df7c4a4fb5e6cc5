/** The machines file for programs without the build hook: never without a builder that should get builds. */
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Builder } from '../../src/model/index.ts'
import { formatMachinesFile } from '../../src/quarantine/machines-file.ts'
import { createMachinesFile } from '../../src/quarantine/write-machines-file.ts'
import { aBuilder } from '../support/builders.ts'

const builderOf = (name: string, file = '/etc/nix/machines'): Builder =>
  aBuilder({
    name,
    line: `ssh-ng://nix@${name} x86_64-linux /key 4 1 kvm - -`,
    origin: { file, line: 1 },
  })
const builders = ['b1', 'b2', 'b3'].map(name => builderOf(name))
const lines = (...names: string[]) =>
  names.map(name => `${builderOf(name).line}\n`).join('')
const without =
  (...names: string[]) =>
  (name: string) =>
    names.includes(name)

const start = (t: Test, directory = mkdtempSync(join(tmpdir(), 'machines-test-'))) => {
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  const path = join(directory, 'machines')
  const logged: string[] = []
  const note = (fields: object, message: string) =>
    void logged.push('error' in fields ? `${message}: ${String(fields.error)}` : message)
  const file = createMachinesFile({ info: note, warn: note })
  return { directory, path, logged, file, read: () => readFileSync(path, 'utf8') }
}

t.test('has the lines of the source, without the builders that are left out', async t => {
  t.equal(
    formatMachinesFile(builders, () => false),
    lines('b1', 'b2', 'b3'),
  )
  t.equal(formatMachinesFile(builders, without('b2')), lines('b1', 'b3'))
  t.equal(
    formatMachinesFile([], () => false),
    '',
  )
})

t.test(
  'is written with mode 0644, only when it changes, and lists all at the end',
  async t => {
    const before = process.umask(0o077)
    t.teardown(() => void process.umask(before))
    const { file, path, read, directory, logged } = start(t)
    file.update(path, builders, () => false)
    t.equal(read(), lines('b1', 'b2', 'b3'))
    t.equal(statSync(path).mode & 0o777, 0o644)
    const { ino } = statSync(path)
    file.update(path, builders, () => false)
    t.equal(statSync(path).ino, ino, 'not replaced')
    file.update(path, builders, without('b1', 'b3'))
    t.equal(read(), lines('b2'))
    t.not(statSync(path).ino, ino, 'replaced, not changed in place')
    file.update(path, builders.slice(1), without('b3'))
    t.equal(read(), lines('b2'))
    file.release()
    t.equal(read(), lines('b2', 'b3'))
    t.same(readdirSync(directory), ['machines'], 'nothing else is left')
    t.same(logged, [])
  },
)

t.test('a restart does not replace a file that is right', async t => {
  const { file, path } = start(t)
  file.update(path, builders, () => false)
  const { ino } = statSync(path)
  const { info, warn } = { info: () => undefined, warn: () => undefined }
  createMachinesFile({ info, warn }).update(path, builders, () => false)
  t.equal(statSync(path).ino, ino)
})

t.test('another path or none: the previous file lists all', async t => {
  const { file, path, read, directory } = start(t)
  const other = join(directory, 'other')
  file.update(path, builders, without('b2'))
  file.update(other, builders, without('b2'))
  t.equal(read(), lines('b1', 'b2', 'b3'))
  t.equal(readFileSync(other, 'utf8'), lines('b1', 'b3'))
  file.update(null, builders, without('b2'))
  t.equal(readFileSync(other, 'utf8'), lines('b1', 'b2', 'b3'))
})

t.test('never writes a file from which the builders come', async t => {
  const { file, path, read, directory, logged } = start(t)
  const real = join(directory, 'real')
  writeFileSync(real, '# mine\n')
  symlinkSync(real, path)
  const own = builders.map(({ name }) => builderOf(name, real))
  file.update(path, own, without('b2'))
  file.update(path, own, without('b1'))
  file.release()
  t.equal(read(), '# mine\n')
  t.same(logged, ['machines file is a source of the builders, so it is not written'])
  file.update(join(directory, 'empty'), [], () => false)
  t.notOk(existsSync(join(directory, 'empty')), 'an unknown list replaces no file')
})

t.test('a FIFO, a directory and a missing directory block nothing', async t => {
  const { file, path, read, directory, logged } = start(t)
  execFileSync('mkfifo', [path])
  file.update(path, builders, without('b2'))
  t.equal(read(), lines('b1', 'b3'))
  const at = join(directory, 'd')
  mkdirSync(join(at, 'x'), { recursive: true })
  file.update(at, builders, without('b2'))
  file.update(at, builders, without('b2'))
  t.same(logged, ['machines file cannot be written: EISDIR'], 'logged once')
  rmSync(at, { recursive: true })
  file.update(at, builders, without('b2'))
  t.equal(readFileSync(at, 'utf8'), lines('b1', 'b3'))
  t.equal(logged.at(-1), 'machines file is up to date again')
})

t.test('a full directory lists all instead of leaving out who works again', async t => {
  const isRoot = process.getuid?.() === 0
  const { file, path, read, directory, logged } = start(t)
  file.update(path, builders, without('b2', 'b3'))
  t.equal(read(), lines('b1'))
  // A temporary file cannot be created, as on a full disk; the spare file can still be renamed
  mkdirSync(join(directory, '.machines.new', 'x'), { recursive: true })
  file.update(path, builders, without('b3'))
  t.equal(read(), lines('b1', 'b2', 'b3'))
  file.update(path, builders, without('b3'))
  file.update(path, builders, without('b1', 'b3'))
  t.equal(read(), lines('b1', 'b2', 'b3'), 'nobody is left out without a way back')
  t.equal(logged.length, 1, logged.join())
  rmSync(join(directory, '.machines.new'), { recursive: true })
  file.update(path, builders, without('b3'))
  t.equal(read(), lines('b1', 'b2'))
  if (isRoot) return
  chmodSync(directory, 0o500)
  file.update(path, builders, () => false)
  chmodSync(directory, 0o700)
  t.equal(read(), lines('b1', 'b2'))
})

t.test('a directory that is gone for a while', async t => {
  const { file, path, read, directory, logged } = start(t)
  file.update(path, builders, without('b2'))
  renameSync(directory, `${directory}.away`)
  file.update(path, builders, () => false)
  file.update(path, builders, () => false)
  t.same(logged, ['machines file cannot be written: ENOENT'])
  renameSync(`${directory}.away`, directory)
  file.update(path, builders, () => false)
  t.equal(read(), lines('b1', 'b2', 'b3'))
})
