// Counts the asserts that the last run of tap left in .tap/test-results: prints `PASSED FAILED SKIPPED`, then a line
// for each that failed.
import { createReadStream, existsSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Parser } from 'tap-parser'

const dir = join(dirname(dirname(fileURLToPath(import.meta.url))), '.tap', 'test-results')
const count = { pass: 0, fail: 0, skip: 0, todo: 0 }
const failures = []
const inOneLine = value => (value ? JSON.stringify(value).slice(0, 1500) : '')
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
      if (!results.ok && !failed) {
        count.fail++
        failures.push(`${file}: ${results.bailout || 'ended early, or not by its plan'}`)
      }
      resolve()
    })
    for (const kind of Object.keys(count))
      parser.on(kind, ({ fullname, name, diag }) => {
        count[kind]++
        if (kind !== 'fail') return
        failed++
        failures.push(`${file}: ${fullname} > ${name} ${inOneLine(diag)}`.trim())
      })
    createReadStream(join(dir, file)).on('error', reject).pipe(parser)
  })
console.log(count.pass, count.fail, count.skip + count.todo)
for (const failure of failures) console.log(failure)
