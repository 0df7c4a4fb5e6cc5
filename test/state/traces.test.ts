import t from 'tap'
import type { Result } from '../../src/model/index.ts'
import { traceRun } from '../../src/engine/tracing.ts'
import { createTraces, noTraces } from '../../src/state/traces.ts'

const at = (ms: { now: number }) => ({
  now: () => ms.now,
  monotonic: () => ms.now,
  sleep: () => Promise.resolve(),
})

const failed: Result = {
  probe: 'login',
  outcome: { status: 'failed', kind: 'tcp_refused', params: {} },
  at: 1,
  durationSeconds: 1,
}
const ok: Result = { ...failed, outcome: { status: 'ok', value: undefined }, at: 2 }

t.test('formats steps with times, and sanitizes and indents remote text', async t => {
  const ms = { now: 100 }
  const traces = createTraces({ clock: at(ms), maxChars: 4096 })
  const recording = traces.start()
  recording.trace('connect', '10.0.0.1')
  ms.now = 112
  recording.trace('it says', 'one\u001b[31m\ntwo\u202e')
  traces.save('b', [failed], recording)
  recording.trace('too late')
  t.strictSame(traces.read('b').login?.last, {
    at: 1,
    status: 'failed',
    kind: 'tcp_refused',
    lines: '    +0 ms connect: 10.0.0.1\n   +12 ms it says: one\n         two',
  })
})

t.test('keeps the newest attempt and the newest failed one', async t => {
  const traces = createTraces({ clock: at({ now: 0 }), maxChars: 4096 })
  const attempt = (result: Result, step: string) => {
    const recording = traces.start()
    recording.trace(step)
    traces.save('b', [result], recording)
  }
  attempt(ok, 'first')
  t.equal(traces.read('b').login?.lastFailed, null)
  attempt(failed, 'second')
  t.equal(traces.read('b').login?.lastFailed, traces.read('b').login?.last)
  attempt(ok, 'third')
  t.match(traces.read('b').login, {
    last: { status: 'ok', lines: /third/ },
    lastFailed: { kind: 'tcp_refused', lines: /second/ },
  })
  traces.retain(new Set(['another']))
  t.strictSame(traces.read('b'), {}, 'drops the traces of a removed builder')
})

t.test('limits the size and keeps the beginning and the end', async t => {
  const traces = createTraces({ clock: at({ now: 0 }), maxChars: 2000 })
  const recording = traces.start()
  recording.trace('the first step')
  for (let i = 0; i < 10_000; i++) recording.trace(`step ${i}`, 'x'.repeat(100))
  recording.trace('flood', 'y'.repeat(1_000_000))
  recording.trace('the last step')
  const text = recording.end()
  t.ok(text.length < 2200, `${text.length} characters`)
  t.match(text, /the first step[^]*steps omitted[^]*the last step$/)
})

t.test(
  'traces the command line, names of the environment and output of a program',
  async t => {
    const traces = createTraces({ clock: at({ now: 0 }), maxChars: 4096 })
    const recording = traces.start()
    const lines: string[] = []
    const run = traceRun(async ({ onStderrLine }) => {
      onStderrLine?.('@nix {"action":"msg","level":0,"msg":"error: no such thing"}')
      onStderrLine?.('ssh: refused')
      return {
        code: 1,
        signal: null,
        stdout: '',
        stderr: '',
        truncated: false,
        spawnError: null,
        aborted: false,
      }
    }, recording.trace)
    await run({
      file: 'nix-build',
      args: ['-E', 'a b', '--builders', 'ssh-ng://u:planted-one@h x86_64-linux'],
      env: { AWS_SECRET_ACCESS_KEY: 'planted-two', HOME: '/h', GONE: undefined },
      signal: AbortSignal.timeout(1000),
      onStderrLine: line => lines.push(line),
    })
    const text = recording.end()
    t.match(text, "run: nix-build -E 'a b' --builders 'ssh-ng://u:***@h x86_64-linux'")
    t.match(text, 'environment: AWS_SECRET_ACCESS_KEY HOME\n')
    t.match(text, /stderr: error: no such thing\n.*stderr: ssh: refused\n.*exit: 1$/)
    t.notMatch(text, 'planted')
    t.equal(lines.length, 2, 'the caller still gets the lines')
  },
)

t.test('noTraces keeps nothing', async t => {
  const recording = noTraces.start()
  recording.trace('step')
  noTraces.save('b', [failed], recording)
  t.strictSame(noTraces.read('b'), {})
})
