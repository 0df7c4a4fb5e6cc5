import { execFileSync } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { digestFiles } from '../../src/config/digest-files.ts'

t.test('changes with the content, and not with the order of the paths', async t => {
  const directory = t.testdir({ a: '1', b: '2' })
  const [a, b] = [join(directory, 'a'), join(directory, 'b')]
  const before = await digestFiles([a, b])
  t.equal(await digestFiles([b, a, a]), before)
  await writeFile(a, '3')
  t.not(await digestFiles([a, b]), before)
  t.not(await digestFiles([a]), await digestFiles([a, join(directory, 'missing')]))
})

t.test('does not wait for the writer of a pipe', async t => {
  const pipe = join(t.testdir({}), 'pipe')
  execFileSync('mkfifo', [pipe])
  t.match(await digestFiles([pipe]), /^[\da-f]{64}$/)
})
