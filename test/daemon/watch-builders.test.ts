import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { createBuildersWatch } from '../../src/daemon/watch-builders.ts'
import { silentLog } from '../../src/log/log.ts'
import type { ActiveBuilders } from '../../src/model/index.ts'
import { aBuilder, listOf } from '../support/builders.ts'

const until = async (done: () => boolean) => {
  while (!done()) await new Promise(resolve => setTimeout(resolve, 5))
}

t.test('applies a change, also one that happens during the reading', async t => {
  const file = join(t.testdir({ machines: 'v1' }), 'machines')
  let content = 'v1'
  const write = async (next: string) => {
    content = next
    await writeFile(file, next)
  }
  const applied: string[] = []
  let duringRead: (() => Promise<void>) | null = null
  const read = async (): Promise<ActiveBuilders> => {
    const line = content
    await duringRead?.()
    duringRead = null
    return { ...listOf(aBuilder({ line })), files: [file] }
  }
  const watch = createBuildersWatch({
    read,
    apply: ({ builders }) => applied.push(builders[0]!.line),
    log: silentLog,
    intervalMs: 10,
  })
  t.teardown(() => watch.stop())
  await watch.reload()
  watch.start()
  t.same(applied, ['v1'])
  duringRead = () => write('v3')
  await write('v2')
  await until(() => applied.includes('v3'))
  t.same(applied, ['v1', 'v2', 'v3'])
})

t.test('applies nothing while the list stays the same', async t => {
  const file = join(t.testdir({ machines: 'v1' }), 'machines')
  let reads = 0
  let applied = 0
  const watch = createBuildersWatch({
    read: () => {
      reads++
      return Promise.resolve({ ...listOf(aBuilder()), files: [file] })
    },
    apply: () => applied++,
    log: silentLog,
    intervalMs: 5,
  })
  t.teardown(() => watch.stop())
  await watch.reload()
  watch.start()
  // Files that were unknown at the first reading are read once more
  await until(() => reads === 2)
  await writeFile(file, 'a comment')
  await until(() => reads === 3)
  t.equal(applied, 1)
})
