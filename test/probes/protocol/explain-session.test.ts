/** Why a session ended or hung before the protocol: the answer of the login shell. */
import { PassThrough } from 'node:stream'
import t from 'tap'
import type { Channel, Failure, ProbeContext } from '../../../src/model/index.ts'
import { noTrace } from '../../../src/model/index.ts'
import { explainSession } from '../../../src/probes/protocol/explain-session.ts'
import { aBuilder } from '../../support/builders.ts'

/** A shell: gets the word and whether its input has ended. */
type Shell = (
  word: string,
  channel: {
    out: PassThrough
    err: PassThrough
    end: (code: number) => void
    inputEnds: Promise<unknown>
  },
) => void

const explain = async (kind: Failure['kind'], shell: Shell) => {
  const context: ProbeContext = {
    builder: aBuilder(),
    clock: {
      now: () => 0,
      monotonic: () => 0,
      // A shell that hangs is waited for only as long as the event loop needs
      sleep: ms => new Promise(resolve => setTimeout(resolve, ms / 100)),
    },
    signal: new AbortController().signal,
    nix: { version: null, system: '' },
    last: () => null,
    trace: noTrace,
    run: () => Promise.reject(new Error('not used')),
    remote: {
      open: async command => {
        const [stdin, stdout, stderr] = [
          new PassThrough(),
          new PassThrough(),
          new PassThrough(),
        ]
        let end: (code: number) => void = () => undefined
        const exit = new Promise<{ code: number; signal: null }>(resolve => {
          end = code => resolve({ code, signal: null })
        })
        const inputEnds = new Promise(resolve => stdin.once('end', resolve))
        stdin.resume()
        shell(command.replace('echo ', ''), { out: stdout, err: stderr, end, inputEnds })
        const channel: Channel = { stdin, stdout, stderr, exit, close: () => undefined }
        return channel
      },
    },
  }
  return explainSession(context, { status: 'failed', kind, params: { host: 'b1' } })
}

t.test('a shell that works leaves the failure to Nix', async t => {
  const works: Shell = (word, { out, end }) => {
    out.write(`${word}\n`)
    end(0)
  }
  t.equal((await explain('daemon_crash', works)).kind, 'daemon_crash')
  t.equal((await explain('daemon_frozen', works)).kind, 'daemon_frozen')
})

t.test('a shell that ends without the word', async t => {
  const silent = await explain('daemon_crash', (_, { end }) => end(7))
  t.match(silent, {
    kind: 'session_ended',
    params: { host: 'b1', detail: 'exit code 7' },
  })
  const speaks = await explain('daemon_crash', (_, { err, end }) => {
    err.write('Maintenance until noon\n')
    setImmediate(() => end(254))
  })
  t.match(speaks, {
    kind: 'session_ended',
    params: { detail: 'Maintenance until noon' },
    evidence: 'Maintenance until noon',
  })
  const limited = await explain('daemon_crash', (_, { err, end }) => {
    err.write('bash: fork: retry: Resource temporarily unavailable\n')
    setImmediate(() => end(254))
  })
  t.equal(limited.kind, 'process_limit')
})

t.test('a shell that answers only when its input ends reads it', async t => {
  const reads: Shell = (word, { out, end, inputEnds }) => {
    void inputEnds.then(() => {
      out.write(word)
      end(0)
    })
  }
  t.equal((await explain('daemon_frozen', reads)).kind, 'shell_reads_input')
})

t.test('a shell that never answers, and words without an end', async t => {
  t.equal((await explain('daemon_frozen', () => undefined)).kind, 'shell_hangs')
  const talks = await explain('daemon_frozen', (_, { out }) => out.write('Hello'))
  t.equal(talks.kind, 'daemon_frozen')
})

t.test('words of a session that ends are no noise of a start-up file', async t => {
  const refused = await explain('shell_noise', (_, { out, end }) => {
    out.write('Too many logins\n')
    setImmediate(() => end(254))
  })
  t.match(refused, { kind: 'session_ended', params: { detail: 'Too many logins' } })
  const noisy = await explain('shell_noise', (word, { out, end }) => {
    out.write(`Welcome\n${word}\n`)
    end(0)
  })
  t.equal(noisy.kind, 'shell_noise')
})

t.test('a forced command of Nix changes nothing', async t => {
  const forced = await explain('daemon_crash', (_, { err, end }) => {
    err.write('error: unexpected end-of-file\n')
    setImmediate(() => end(1))
  })
  t.equal(forced.kind, 'daemon_crash')
})

t.test('another failure is not explained', async t => {
  const never: Shell = () => t.fail('the shell is not asked')
  t.equal((await explain('nix_missing', never)).kind, 'nix_missing')
})
