import fc from 'fast-check'
import t from 'tap'
import { demoBuilders } from '../../src/demo/demo-builder.ts'
import { serveServeProtocol } from '../../src/demo/serve-server.ts'
import { serveWorkerProtocol } from '../../src/demo/worker-server.ts'
import type { Builder, Outcome } from '../../src/model/index.ts'
import { list, text, word } from '../../src/nix/protocol/wire-writer.ts'
import { trustProbe } from '../../src/probes/trust.ts'
import { contextOf, memoryRemote, type FarSide } from './support.ts'

const [healthy] = demoBuilders
if (!healthy) throw new Error('no demo builder')

const workerAnswer = 0x6478696fn
const serveAnswer = 0x5452eecbn
const last = 0x616c7473
const failed = 0x63787470

/** A remote program that prints this to stdout and stderr and exits. */
const saying =
  (code: number | null, stdout: string | Buffer, stderr = '') =>
  (far: FarSide) => {
    far.errors.write(stderr)
    far.output.write(stdout)
    far.input.resume().on('end', () => far.end(code))
    // Too short to be recognized as wrong before its end
    if (stdout.length < 8) far.end(code)
  }

const runTrust = async (
  play: (far: FarSide) => void,
  builder: Partial<Builder> = {},
  signal?: AbortSignal,
): Promise<Outcome & { kind?: string; value?: unknown }> => {
  const remote = memoryRemote(play)
  const outcome = await trustProbe.run(contextOf(remote, builder, signal))
  t.equal(remote.closed(), remote.commands.length, 'every channel is closed')
  return outcome
}

const worker =
  (change = {}) =>
  (far: FarSide) => {
    const pipe = { stdout: far.input, stdin: far.output }
    const { signal } = new AbortController()
    serveWorkerProtocol(pipe, { ...healthy, ...change }, { signal }).then(
      () => far.end(0),
      () => far.end(1),
    )
  }

t.test('reports whether Nix trusts us', async t => {
  t.match(await runTrust(worker()), {
    status: 'ok',
    value: {
      protocol: 'worker',
      protocolVersion: '1.35',
      nixVersion: '2.19.7',
      trusted: true,
      trustSource: 'handshake',
    },
  })
  t.match(await runTrust(worker({ trusted: false })), {
    status: 'degraded',
    kind: 'not_trusted',
    value: { trusted: false, trustSource: 'handshake' },
  })
})

/** An old worker: 1.32 reports neither version nor trust, so a repair of zero paths determines trust. */
const oldWorker = (trusted: boolean) => (far: FarSide) => {
  const answers = [
    Buffer.concat([word(last), word(0)]),
    trusted
      ? Buffer.concat([word(last), word(1)])
      : Buffer.concat([
          word(failed),
          text('Error'),
          word(0),
          text('Error'),
          text("repairing is not allowed because you are not in 'trusted-users'"),
          word(0),
          list([]),
        ]),
  ]
  far.output.write(Buffer.concat([word(workerAnswer), word(0x120), word(last)]))
  let received = 0
  // The greeting has 32 bytes, then two requests follow
  const starts = [33, 33 + 8 + 8 + 72]
  far.input.on('data', (chunk: Buffer) => {
    received += chunk.length
    while (answers.length && received >= (starts[2 - answers.length] ?? 0))
      far.output.write(answers.shift())
  })
}

t.test('determines trust with an old Nix', async t => {
  t.match(await runTrust(oldWorker(true)), {
    status: 'ok',
    value: {
      protocolVersion: '1.32',
      nixVersion: null,
      trusted: true,
      trustSource: 'repair_query',
    },
  })
  t.match(await runTrust(oldWorker(false)), {
    status: 'degraded',
    kind: 'not_trusted',
    value: { trusted: false, trustSource: 'repair_query' },
  })
})

t.test('uses the serve protocol for ssh://, then the worker protocol', async t => {
  const both = (far: FarSide) => {
    const pipe = { stdout: far.input, stdin: far.output }
    if (far.command.startsWith('nix-daemon')) return worker()(far)
    const { signal } = new AbortController()
    serveServeProtocol(pipe, { signal }).then(
      () => far.end(0),
      () => far.end(1),
    )
  }
  t.match(await runTrust(both, { scheme: 'ssh' }), {
    status: 'ok',
    value: {
      protocol: 'serve',
      protocolVersion: '2.7',
      trusted: true,
      trustSource: 'handshake',
    },
  })
  const serveOnly = (far: FarSide) =>
    far.command.startsWith('nix-daemon') ? saying(127, '')(far) : both(far)
  t.match(await runTrust(serveOnly, { scheme: 'ssh' }), {
    status: 'ok',
    value: { protocol: 'serve', nixVersion: null, trusted: null, trustSource: null },
  })
})

t.test('classifies failed sessions', async t => {
  type Row = [what: string, play: (far: FarSide) => void, kind: string]
  const table: Row[] = [
    [
      'no nix',
      saying(127, '', 'bash: line 1: nix-daemon: command not found\n'),
      'nix_missing',
    ],
    [
      'no nix in zsh',
      saying(127, '', 'zsh:1: command not found: nix-daemon\n'),
      'nix_missing',
    ],
    ['no nix in tcsh', saying(1, '', 'nix-daemon: Command not found.\n'), 'nix_missing'],
    [
      'no nix in mksh',
      saying(127, '', 'sh: nix-daemon: inaccessible or not found\n'),
      'nix_missing',
    ],
    ['no nix, no words', saying(127, ''), 'nix_missing'],
    [
      'not executable',
      saying(126, '', 'sh: 1: nix-daemon: Permission denied\n'),
      'nix_not_executable',
    ],
    ['nologin', saying(1, 'This account is currently not available.\n'), 'nologin'],
    [
      'daemon down',
      saying(
        1,
        '',
        "error: cannot connect to socket at '/nix/var/nix/daemon-socket/socket': Connection refused\n",
      ),
      'daemon_down',
    ],
    [
      'no space',
      saying(1, '', 'error: creating file: No space left on device\n'),
      'disk_full',
    ],
    [
      'read only',
      saying(1, '', 'error: opening lock file: Read-only file system\n'),
      'store_read_only',
    ],
    [
      'shut out',
      saying(1, '', "error: user 'x' is not allowed to connect to the Nix daemon\n"),
      'daemon_denied',
    ],
    ['crash', saying(null, ''), 'daemon_crash'],
    [
      'crash with a message',
      saying(1, '', 'error: unexpected end-of-file\n'),
      'daemon_crash',
    ],
    ['noise', saying(0, 'Welcome to builder!\nHave fun.\n'), 'shell_noise'],
    ['a long line', saying(0, 'x'.repeat(40)), 'shell_noise'],
    [
      'an empty line, then Nix',
      saying(0, Buffer.concat([Buffer.from('\n'), word(workerAnswer)])),
      'shell_noise',
    ],
    [
      'no text, then Nix',
      saying(0, Buffer.concat([Buffer.from('\0\0\0\0'), word(workerAnswer)])),
      'shell_noise',
    ],
    [
      'a forced command for files',
      saying(1, 'This service allows sftp connections only.\n'),
      'session_ended',
    ],
    [
      'a forced command that does not exist',
      saying(127, '', 'bash: line 1: sudo: command not found\n'),
      'session_ended',
    ],
    [
      'a library that does not fit',
      saying(
        127,
        '',
        'nix-daemon: error while loading shared libraries: libsqlite3.so.0: file too short\n',
      ),
      'nix_not_executable',
    ],
    [
      'no thread',
      saying(1, '', 'error: Resource temporarily unavailable\n'),
      'process_limit',
    ],
    ['short noise', saying(0, 'hello!\n'), 'shell_noise'],
    [
      'noise, then Nix',
      saying(0, Buffer.concat([Buffer.from('motd of the day\n'), word(workerAnswer)])),
      'shell_noise',
    ],
    [
      'the other protocol',
      saying(0, Buffer.concat([word(serveAnswer), word(0x207)])),
      'protocol_mismatch',
    ],
    ['binary', saying(0, Buffer.alloc(300, 0xff)), 'protocol_mismatch'],
    [
      'too old',
      saying(0, Buffer.concat([word(workerAnswer), word(0x10a)])),
      'nix_version',
    ],
    [
      'too new',
      saying(0, Buffer.concat([word(workerAnswer), word(0x200)])),
      'nix_version',
    ],
    [
      'escapes',
      saying(0, '\u001b[2J\u001b[31mWelcome, friend\u001b[0m\n'),
      'shell_noise',
    ],
  ]
  for (const [what, play, kind] of table) {
    const outcome = await runTrust(play)
    t.match(outcome, { status: 'failed', kind }, what)
    const json = JSON.stringify(outcome)
    t.notMatch(json, /\\u001b/, 'no escape sequence gets through')
  }
})

t.test('a crash has the innermost error as its reason', async t => {
  const lines = [
    "terminate called after throwing an instance of 'nix::SysError'",
    '  what():  \u001b[31;1merror:\u001b[0m getting status of /home/x/.nix-defexpr/channels: Permission denied',
  ]
  t.match(await runTrust(saying(134, '', `${lines.join('\n')}\n`)), {
    kind: 'daemon_crash',
    params: {
      detail: 'error: getting status of /home/x/.nix-defexpr/channels: Permission denied',
    },
  })
})

t.test('what a program says before it ends is the reason', async t => {
  t.match(await runTrust(saying(1, '', 'Nix is being upgraded, try later\n')), {
    kind: 'daemon_crash',
    params: { detail: 'Nix is being upgraded, try later' },
  })
  const line =
    'bash: /usr/bin/nix-daemon: /gone/bash: bad interpreter: No such file or directory'
  t.match(await runTrust(saying(126, '', `${line}\n`)), {
    kind: 'nix_not_executable',
    params: { detail: line },
  })
})

t.test('names the path of a missing program', async t => {
  const path = '/run/current-system/sw/bin/nix-daemon'
  const line = `bash: line 1: ${path}: No such file or directory\n`
  t.match(await runTrust(saying(127, '', line)), {
    kind: 'nix_missing',
    params: { program: path },
  })
})

t.test('reports an error of the remote store', async t => {
  const broken = (far: FarSide) => {
    far.output.write(
      Buffer.concat([
        ...[word(workerAnswer), word(0x123), text('2.30.1'), word(1), word(last)],
        ...[word(failed), text('Error'), word(0), text('Error')],
        ...[text('error: database or disk is full'), word(0), list([])],
      ]),
    )
    far.input.resume()
  }
  t.match(await runTrust(broken), { status: 'failed', kind: 'disk_full' })
})

/** A deadline that keeps the process alive, like that of an attempt. */
const soon = (): AbortSignal => {
  const deadline = new AbortController()
  setTimeout(() => deadline.abort(new Error('late')), 50)
  return deadline.signal
}

t.test('classifies timeouts', async t => {
  const frozen = (far: FarSide) => void far.input.resume()
  t.match(await runTrust(frozen, {}, soon()), {
    status: 'failed',
    kind: 'daemon_frozen',
  })
  const collecting = (far: FarSide) =>
    void far.errors.write('waiting for the big garbage collector lock...\n')
  t.match(await runTrust(collecting, {}, soon()), {
    status: 'busy',
    kind: 'gc_wait',
  })
  const halfway = (far: FarSide) =>
    void far.output.write(Buffer.concat([word(workerAnswer), word(0x123)]))
  t.match(await runTrust(halfway, {}, soon()), { kind: 'daemon_frozen' })
})

t.test('reports a remote that cannot be reached', async t => {
  const lost = { open: () => Promise.reject(new Error('the connection is closed')) }
  t.match(await trustProbe.run(contextOf(lost)), {
    status: 'failed',
    kind: 'connection_lost',
    params: { detail: 'the connection is closed' },
  })
})

t.test('stops reading a flood', async t => {
  let sent = 0
  const flood = (far: FarSide) => {
    const chunk = Buffer.alloc(65_536, 'y\n')
    const pour = () => {
      while (!far.output.destroyed && sent < 100e6) {
        sent += chunk.length
        if (!far.output.write(chunk)) return
      }
    }
    far.output.on('drain', pour)
    pour()
  }
  t.match(await runTrust(flood), { status: 'failed' })
  t.ok(sent < 2e6, `${sent} bytes taken`)
})

t.test('returns an outcome for any bytes', async t => {
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ maxLength: 200 }),
      fc.boolean(),
      fc.string({ maxLength: 80 }),
      async (bytes, greets, stderr) => {
        const start = greets ? [word(workerAnswer), word(0x123)] : []
        const outcome = await trustProbe.run(
          contextOf(
            memoryRemote(far => {
              far.errors.write(stderr)
              far.output.write(Buffer.concat([...start, bytes]))
              far.end(1)
            }),
          ),
        )
        return outcome.status === 'failed' && outcome.kind !== 'internal'
      },
    ),
    { numRuns: 60 },
  )
  t.pass()
})

t.test('exports the metric', async t => {
  const value = {
    protocol: 'worker',
    protocolVersion: '1.35',
    nixVersion: null,
    trusted: false,
    trustSource: 'handshake',
  } as const
  const { builder } = contextOf(memoryRemote(() => undefined))
  t.same(trustProbe.samples(value, builder), [
    { family: 'nix_builder_trusted', labels: { builder: 'b1' }, value: 0 },
  ])
  t.same(trustProbe.samples({ ...value, trusted: null }, builder), [])
})
