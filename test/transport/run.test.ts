import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { RunRequest } from '../../src/model/index.ts'
import { createSemaphore } from '../../src/transport/ssh/semaphore.ts'
import { openProxy } from '../../src/transport/ssh/proxy.ts'
import { createRun } from '../../src/transport/run.ts'
import { dialTo, never, sshServer, until } from './ssh/support.ts'

const run = createRun()
const sh = (script: string, more: Partial<RunRequest> = {}) =>
  run({ file: '/bin/sh', args: ['-c', script], signal: never, ...more })

const directoryOf = (t: Test): string => {
  const directory = mkdtempSync(join(tmpdir(), 'builder-monitor-test-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

const lives = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    // An unreaped zombie has exited, too
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

/** Waits for the pid file of a script and returns the pid. */
const pidIn = async (file: string): Promise<number> => {
  await until(() => existsSync(file) && readFileSync(file, 'utf8').endsWith('\n'))
  return Number(readFileSync(file, 'utf8'))
}

t.test('returns output, code and signal, and passes input', async t => {
  t.match(await sh('echo out; echo err >&2; exit 3'), {
    code: 3,
    signal: null,
    stdout: 'out\n',
    stderr: 'err\n',
    truncated: false,
    spawnError: null,
    aborted: false,
  })
  t.match(await sh('kill -9 $$'), { code: null, signal: 'SIGKILL' })
  t.match(await sh('cat', { stdin: 'given' }), { stdout: 'given' })
  t.match(await sh('cat; echo end'), { stdout: 'end\n' }, 'stdin is empty by default')
  t.match(
    await sh('exit 0', { stdin: 'x'.repeat(1e6) }),
    { code: 0 },
    'unread input is no error',
  )
  t.match(await sh('echo "$A-$B"', { env: { A: '1', B: undefined } }), { stdout: '1-\n' })
})

t.test('returns a result for a program that cannot be started', async t => {
  const start = (more: Partial<RunRequest>) =>
    run({ file: '/bin/true', args: [], signal: never, ...more })
  t.match(await start({ file: '/nonexistent/x' }), { code: null, spawnError: 'ENOENT' })
  t.match(await start({ file: '/etc' }), { spawnError: 'EACCES' })
  t.match(await start({ cwd: '/nonexistent' }), { spawnError: 'ENOENT' })
  t.match(await start({ args: ['a\0b'] }), { spawnError: 'ERR_INVALID_ARG_VALUE' })
  t.match(await start({ args: ['x'.repeat(3e6)] }), { spawnError: 'E2BIG' })
  const aborted = AbortSignal.abort(new Error('no'))
  t.match(await start({ signal: aborted }), { code: null, aborted: true })
})

t.test('limits output and reports truncation', async t => {
  const { stdout, stderr, truncated } = await sh(
    'yes | head -c 1000000; echo short >&2',
    {
      maxBytes: 1000,
    },
  )
  t.equal(stdout.length, 1000)
  t.equal(stderr, 'short\n')
  t.equal(truncated, true)
  t.equal((await sh('printf 12345', { maxBytes: 5 })).truncated, false)
})

t.test('reports lines of stderr immediately', async t => {
  const lines: string[] = []
  await sh(`printf 'one\\ntw\\303' >&2; sleep 0.1; printf '\\274\\nlast' >&2`, {
    onStderrLine: line => lines.push(line),
  })
  t.same(lines, ['one', 'twü', 'last'])
  const long: string[] = []
  await sh('yes x | tr -d "\\n" | head -c 300000 >&2; echo >&2; echo y >&2', {
    onStderrLine: line => long.push(line),
  })
  t.same(
    long.map(line => line.length),
    [16_384, 1],
  )
})

t.test('an abort terminates the whole process group', async t => {
  const directory = directoryOf(t)
  const abort = new AbortController()
  const [child, stubborn] = [join(directory, 'child'), join(directory, 'stubborn')]
  const running = sh(
    `sleep 60 & echo $! > ${child}
     sh -c 'trap "" TERM; echo $$ > ${stubborn}; while :; do sleep 0.1; done' &
     wait`,
    { signal: abort.signal },
  )
  const pids = [await pidIn(child), await pidIn(stubborn)]
  const started = performance.now()
  abort.abort(new Error('late'))
  t.match(await running, { aborted: true })
  t.ok(performance.now() - started < 20_000)
  await until(() => !pids.some(lives))
})

t.test('kills a program that ignores SIGTERM', async t => {
  const abort = new AbortController()
  const file = join(directoryOf(t), 'pid')
  const running = sh(`trap '' TERM; echo $$ > ${file}; while :; do sleep 0.1; done`, {
    signal: abort.signal,
  })
  const pid = await pidIn(file)
  abort.abort(new Error('late'))
  t.match(await running, { aborted: true, signal: 'SIGKILL' })
  t.notOk(lives(pid))
})

t.test('kills children that a program leaves behind', async t => {
  const file = join(directoryOf(t), 'pid')
  const started = performance.now()
  const { code, stdout } = await sh(`sleep 60 & echo $! > ${file}; echo done`)
  t.match({ code, stdout }, { code: 0, stdout: 'done\n' })
  t.ok(performance.now() - started < 20_000, 'does not wait for it')
  const pid = await pidIn(file)
  await until(() => !lives(pid))
})

t.test('the semaphore limits concurrency', async t => {
  const gate = createSemaphore(2)
  const [a, b] = [await gate.acquire(never), await gate.acquire(never)]
  const order: string[] = []
  const abort = new AbortController()
  const third = gate.acquire(never).then(leave => (order.push('third'), leave))
  const fourth = gate.acquire(abort.signal)
  const fifth = gate.acquire(never).then(leave => (order.push('fifth'), leave))
  await sleep(10)
  t.same(order, [])
  abort.abort(new Error('enough'))
  await t.rejects(fourth, { message: 'enough' })
  a()
  a()
  await third
  t.same(order, ['third'], 'a slot is released only once')
  b()
  await fifth
  t.same(order, ['third', 'fifth'])
  await t.rejects(gate.acquire(AbortSignal.abort(new Error('no'))), { message: 'no' })
})

t.test('logs in through a proxy that ends with the connection', async t => {
  const { port } = await sshServer(t)
  const file = join(directoryOf(t), 'pid')
  const relay = `const s=require("net").connect(+process.argv[1],"127.0.0.1");process.stdin.pipe(s).pipe(process.stdout)`
  const proxyCommand = `sh -c 'echo $$ > ${file}; exec ${process.execPath} -e "$0" %p' '${relay}'`
  const { outcome, connection } = await dialTo(t, port, { target: { proxyCommand } })()
  t.match(outcome, {
    status: 'ok',
    value: { via: 'proxy ProxyCommand', phases: { tcp: undefined } },
  })
  const pid = await pidIn(file)
  t.ok(lives(pid))
  connection?.close()
  await until(() => !lives(pid))
  t.equal(await connection?.closed, 'closed')
})

t.test('the connection ends with its proxy', async t => {
  const { port } = await sshServer(t, { exec: () => undefined })
  const file = join(directoryOf(t), 'pid')
  const relay = `const s=require("net").connect(+process.argv[1],"127.0.0.1");process.stdin.pipe(s).pipe(process.stdout)`
  const proxyCommand = `sh -c 'echo $$ > ${file}; exec ${process.execPath} -e "$0" %p' '${relay}'`
  const { connection } = await dialTo(t, port, { target: { proxyCommand } })()
  process.kill(await pidIn(file))
  t.ok(await connection?.closed)
})

t.test('the connection ends when the proxy closes its output', async t => {
  const { port } = await sshServer(t, { exec: () => undefined })
  const file = join(directoryOf(t), 'pid')
  const relay = `const s=require("net").connect(+process.argv[1],"127.0.0.1");process.stdin.pipe(s);s.on("data",d=>process.stdout.write(d));process.on("SIGUSR2",()=>{s.removeAllListeners("data");require("fs").closeSync(1)})`
  const proxyCommand = `sh -c 'echo $$ > ${file}; exec ${process.execPath} -e "$0" %p' '${relay}'`
  const { connection } = await dialTo(t, port, { target: { proxyCommand } })()
  const pid = await pidIn(file)
  process.kill(pid, 'SIGUSR2')
  t.ok(await connection?.closed)
  await until(() => !lives(pid))
})

t.test('reports the error of a proxy and terminates it when the login fails', async t => {
  const through = async (proxyCommand: string) =>
    (await dialTo(t, 22, { target: { proxyCommand } })()).outcome
  t.match(
    await through(
      'sh -c "echo ssh: connect to host gate port 22: Connection refused >&2; exit 255"',
    ),
    {
      status: 'failed',
      kind: 'tcp_refused',
      params: { detail: /proxy: .*Connection refused/ },
    },
  )
  t.match(await through('/nonexistent/proxy %h %p'), {
    status: 'failed',
    kind: 'ssh_option',
    params: { option: 'ProxyCommand', detail: /not found/ },
  })
  t.match(await through('echo hello'), { kind: 'not_ssh' })
  // The proxy has exited before we write, and its output is still unread
  const gone = openProxy('echo hello', 'p', { PATH: process.env['PATH'] })
  await sleep(200)
  gone.stream.write('SSH-2.0-test\r\n')
  await sleep(50)
  let received = ''
  for await (const chunk of gone.stream) received += String(chunk)
  t.equal(received, 'hello\n')
  const file = join(directoryOf(t), 'pid')
  t.match(
    await through(
      `sh -c 'echo $$ > ${file}; trap "" TERM; printf "no\\rssh"; while :; do sleep 0.1; done'`,
    ),
    {
      kind: 'not_ssh',
    },
  )
  const pid = await pidIn(file)
  await until(() => !lives(pid))
})

t.test('kills a proxy that ignores SIGTERM', async t => {
  const file = join(directoryOf(t), 'pid')
  const proxy = openProxy(
    `trap '' TERM; echo $$ > ${file}; while :; do sleep 0.1; done`,
    'p',
    {
      PATH: process.env['PATH'],
    },
  )
  const pid = await pidIn(file)
  proxy.close()
  proxy.close()
  await until(() => !lives(pid))
})

t.test('a process exits after all connections are closed', async t => {
  const { port } = await sshServer(t)
  const program = `
    import { connect } from 'node:net'
    const { createDial } = await import(${JSON.stringify(new URL('../../src/transport/ssh/dial.ts', import.meta.url).href)})
    const { createRun } = await import(${JSON.stringify(new URL('../../src/transport/run.ts', import.meta.url).href)})
    const clock = { now: Date.now, monotonic: () => performance.now(), sleep: () => Promise.resolve() }
    const dial = createDial({ run: createRun(), clock, env: process.env, nix: () => ({ version: null, system: 'x' }),
      resolve: () => ({ user: 'x', hostname: '127.0.0.1', port: ${port}, identityFiles: [], certificateFiles: [],
        agent: null, userKnownHosts: [], globalKnownHosts: [], hostKeyAlias: null, strict: 'no', proxyJump: null,
        proxyCommand: null, family: 0, connectTimeout: null }) })
    const builder = { scheme: 'ssh-ng', host: '127.0.0.1', params: {}, storeUri: 'ssh-ng://x@127.0.0.1', user: 'x',
      line: 'x', sshKey: null, publicHostKey: null, port: null }
    const { outcome, connection } = await dial(builder, new AbortController().signal)
    connection?.close()
    console.log(outcome.kind)
  `
  const child = spawnChild(program)
  const { code, stdout } = await child
  t.equal(stdout.trim(), 'auth_denied')
  t.equal(code, 0)
})

/** Runs a module in a child process with the loader of this process. */
const spawnChild = (program: string) =>
  run({
    file: process.execPath,
    args: [...process.execArgv, '--input-type=module', '-e', program],
    signal: AbortSignal.timeout(30_000),
  })
