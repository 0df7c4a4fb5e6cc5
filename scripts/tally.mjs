// Counts the asserts that the last run of tap left in .tap/test-results: prints `PASSED FAILED SKIPPED`.
import { createReadStream, existsSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Parser } from 'tap-parser'

const dir = join(dirname(dirname(fileURLToPath(import.meta.url))), '.tap', 'test-results')
const count = { pass: 0, fail: 0, skip: 0, todo: 0 }
const files = existsSync(dir)
  ? readdirSync(dir, { recursive: true })
      .map(String)
      .filter(file => file.endsWith('.tap'))
  : []

for (const file of files)
  await new Promise((resolve, reject) => {
    let failed = 0
    const parser = new Parser(results => {
      // a plan that was not kept, a bail-out: something failed that was no assert
      if (!results.ok && !failed) count.fail++
      resolve()
    })
    for (const kind of Object.keys(count))
      parser.on(kind, () => {
        count[kind]++
        if (kind === 'fail') failed++
      })
    createReadStream(join(dir, file)).on('error', reject).pipe(parser)
  })
console.log(count.pass, count.fail, count.skip + count.todo)
