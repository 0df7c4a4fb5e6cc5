/** Real locks: flock(1) and perl lock for this process, and another process sees it. */
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import {
  chownSync,
  mkdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import {
  flockProgram,
  lockSlotFile,
  perlProgram,
} from '../../../src/quarantine/holder/lock-file.ts'

const isFree = (path: string) => spawnSync('flock', ['-n', path, 'true']).status === 0
const never = new AbortController().signal
const unexpected = () => t.fail('the lock is free')

for (const program of [flockProgram, perlProgram])
  t.test(`${program.file} locks for this process`, async t => {
    const dir = t.testdir()
    const path = join(dir, 'ssh:__b1-0')
    const held = await lockSlotFile(dir, 'ssh:__b1-0', program, never, unexpected)
    t.notOk(isFree(path))
    t.equal(statSync(path).mode & 0o777, 0o600, 'as Nix creates it')
    t.ok(await held.isCurrent())
    rmSync(path)
    t.notOk(await held.isCurrent(), 'the file was deleted')
    await held.release()
    const again = await lockSlotFile(dir, 'ssh:__b1-0', program, never, unexpected)
    t.notOk(isFree(path))
    await again.release()
    t.ok(isFree(path))
  })

for (const program of [flockProgram, perlProgram])
  t.test(`${program.file} waits for a lock in use`, async t => {
    const dir = t.testdir({ 's-0': '' })
    const path = join(dir, 's-0')
    const user = spawn('flock', [path, 'sleep', '1000'], { detached: true })
    while (isFree(path)) await delay(5)
    let waits = false
    const locking = lockSlotFile(dir, 's-0', program, never, () => (waits = true))
    const stop = new AbortController()
    const stopped = lockSlotFile(dir, 's-0', program, stop.signal, () =>
      stop.abort(new Error('released')),
    )
    await t.rejects(stopped, { message: 'released' }, 'waiting ends with the signal')
    while (!waits) await delay(5)
    execFileSync('pkill', ['-P', String(user.pid)])
    const held = await locking
    t.notOk(isFree(path))
    await held.release()
    t.ok(isFree(path))
  })

t.test('what is not a slot file of our own is refused', async t => {
  const dir = t.testdir({ target: 'text', 'foreign-0': '', d: { 'x-0': '' } })
  const lock = (name: string, directory = dir) =>
    lockSlotFile(directory, name, flockProgram, never, unexpected)
  symlinkSync(join(dir, 'target'), join(dir, 'link-0'))
  await t.rejects(lock('link-0'), /link-0 is a symbolic link$/)
  mkdirSync(join(dir, 'dir-0'))
  await t.rejects(lock('dir-0'), /dir-0 cannot be opened \(EISDIR\)$/)
  execFileSync('mkfifo', [join(dir, 'fifo-0')])
  await t.rejects(lock('fifo-0'), /fifo-0 is not a regular file$/)
  symlinkSync(join(dir, 'd'), join(dir, 'linked'))
  await t.rejects(lock('x-0', join(dir, 'linked')), /linked is not a directory$/)
  await t.rejects(lock('x-0', join(dir, 'no', 'no')), /no cannot be read \(ENOENT\)$/)
  writeFileSync(join(dir, 'other-0'), '')
  if (process.getuid?.() === 0) {
    chownSync(join(dir, 'foreign-0'), 65534, 65534)
    await t.rejects(lock('foreign-0'), /foreign-0 belongs to user 65534 instead of 0$/)
  }
  const missing = { ...flockProgram, file: 'no-such-program' }
  await t.rejects(
    lockSlotFile(dir, 'other-0', missing, never, unexpected),
    /no-such-program cannot be started \(ENOENT\)$/,
  )
})

t.test('the directory is created, as a build hook does', async t => {
  const directory = join(t.testdir(), 'current-load')
  const held = await lockSlotFile(directory, 'x-0', flockProgram, never, unexpected)
  t.notOk(isFree(join(directory, 'x-0')))
  t.equal(statSync(directory).mode & 0o777, 0o755)
  await held.release()
})
