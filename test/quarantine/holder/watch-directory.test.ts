import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { watchDirectory } from '../../../src/quarantine/holder/watch-directory.ts'

t.test('ends a holder whose directory was replaced or is missing', async t => {
  const dir = mkdtempSync(join(tmpdir(), 'watch-'))
  t.teardown(() => rmSync(dir, { recursive: true }))
  const path = join(dir, 'current-load')
  mkdirSync(path)
  const first = await watchDirectory(path)
  t.equal(await first.look(), null)
  renameSync(path, join(dir, 'old'))
  t.match(await first.look(), /replaced/, 'deleted')
  mkdirSync(path)
  t.match(await first.look(), /replaced/, 'created again')

  rmSync(path, { recursive: true })
  symlinkSync(join(dir, 'nowhere'), path)
  const dangling = await watchDirectory(path)
  rmSync(path)
  const looks = []
  for (let i = 0; i < 10; i++) looks.push(await dangling.look())
  t.same(looks.slice(0, 9), Array(9).fill(null), 'not every second')
  t.match(looks[9], /missing/, 'the holder is started again, with the directory')
  mkdirSync(path)
  t.match(await dangling.look(), /replaced/, 'created by a build hook')
})
