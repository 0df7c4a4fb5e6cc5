import { execFileSync } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { readHostKeyPolicy } from '../../../src/transport/ssh/host-key-policy.ts'
import { readRegularFile } from '../../../src/transport/ssh/regular-file.ts'
import { aBuilder } from '../../support/builders.ts'
import { aTarget } from './target.ts'

t.test('reads regular files only', async t => {
  const directory = t.testdir({ file: 'text' })
  const pipe = join(directory, 'pipe')
  execFileSync('mkfifo', [pipe])
  t.equal(await readRegularFile(join(directory, 'file')), 'text')
  for (const other of [pipe, directory, '/dev/zero', join(directory, 'missing')])
    t.equal(await readRegularFile(other), null, other)
})

t.test('a known_hosts that hangs takes no thread', async t => {
  const directory = t.testdir({})
  const pipe = join(directory, 'known_hosts')
  execFileSync('mkfifo', [pipe])
  const target = aTarget({ userKnownHosts: [pipe, pipe, pipe, pipe, pipe] })
  const { policy } = await readHostKeyPolicy(aBuilder(), { pinnedHostName: 'a' }, target)
  t.same(policy.known, [])
  await writeFile(join(directory, 'other'), 'file system threads are free')
})
