/** A canary that fails before the builder was asked is the trouble of this machine. */
import t from 'tap'
import { localTrouble, tempTrouble } from '../../src/diagnosis/local-trouble.ts'
import type { RunResult } from '../../src/model/index.ts'
import { createBuildLogParser } from '../../src/probes/canary/build-log.ts'
import {
  classifyFailure,
  isLocalFailure,
  localFailure,
} from '../../src/probes/canary/failure.ts'

const result = (change: Partial<RunResult>): RunResult => ({
  code: 1,
  signal: null,
  stdout: '',
  stderr: '',
  truncated: false,
  spawnError: null,
  aborted: false,
  ...change,
})
const connecting = `@nix {"action":"start","id":1,"level":4,"parent":0,"text":"connecting to 'ssh://b1'","type":0}`
const logOf = (...lines: readonly string[]) => {
  const log = createBuildLogParser(() => 0)
  lines.forEach(line => log.line(line))
  return log
}
const message = (text: string) =>
  `@nix ${JSON.stringify({ action: 'msg', level: 0, msg: text })}`

t.test('what fails before the connection is local', async t => {
  const isLocal = (lines: readonly string[], change: Partial<RunResult> = {}) =>
    isLocalFailure(result(change), logOf(...lines))
  t.equal(isLocal([message('error: build hook died unexpectedly')]), true)
  t.equal(isLocal([message('error: writing to file: No space left on device')]), true)
  t.equal(isLocal([], { spawnError: 'EAGAIN', code: null }), true)
  t.equal(isLocal([connecting, message('error: build hook died unexpectedly')]), false)
  t.equal(isLocal([], { aborted: true, code: null }), false, 'it may have waited')
  const badLine = "error: bad machine specification: store URL was not found: ''"
  t.equal(isLocal([message(badLine)]), false, 'the machine line is the cause')
})

t.test('the kind of a local failure', async t => {
  const kindOf = (change: Partial<RunResult>, whileBuilding = false) =>
    localFailure(result(change), whileBuilding).kind
  t.equal(kindOf({ spawnError: 'ENOENT', code: null }), 'no_local_nix')
  t.equal(kindOf({ spawnError: 'EMFILE', code: null }), 'client_resources')
  t.equal(kindOf({ stderr: 'error: No space left on device' }), 'client_disk_full')
  t.equal(kindOf({ stderr: 'error: a bug' }), 'client_nix_broken')
  t.equal(kindOf({ stderr: 'error: a bug' }, true), 'hook_broken')
  t.equal(kindOf({ aborted: true, code: null }), 'no_data')
})

t.test('a failure after the connection is that of the builder', async t => {
  const log = logOf(connecting, message('error: No space left on device'))
  const { signal } = new AbortController()
  t.match(classifyFailure(result({}), log, signal), { kind: 'disk_full' })
})

t.test('errors of node:fs and of sockets', async t => {
  const error = (code: string, syscall?: string) =>
    Object.assign(new Error(`${code}: no`), { code, ...(syscall ? { syscall } : {}) })
  t.match(tempTrouble(error('ENOENT', 'mkdtemp')), { kind: 'client_temp_unusable' })
  t.match(tempTrouble(error('EROFS', 'mkdir')), { kind: 'client_temp_unusable' })
  t.match(tempTrouble(error('EDQUOT', 'write')), { kind: 'client_disk_full' })
  t.match(tempTrouble(error('EMFILE', 'open')), { kind: 'client_resources' })
  t.equal(tempTrouble(error('ENOENT')), null, 'not from a system call')
  t.equal(tempTrouble(new Error('a bug')), null)
  t.equal(localTrouble('ECONNREFUSED'), null)
  t.equal(localTrouble(null), null)
})
