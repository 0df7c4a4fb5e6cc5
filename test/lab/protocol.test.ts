/** Our protocol clients with real Nix: that of this machine (with a private store) and of each node of the lab. */
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import t, { type Test } from 'tap'
import { instantiate } from '../../src/nix/protocol/derivation.ts'
import { openServe } from '../../src/nix/protocol/serve.ts'
import { openWorker } from '../../src/nix/protocol/worker.ts'

interface RealNix {
  readonly version: RegExp
  /** Words before a remote command. */
  readonly prefix: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

const isLab = process.env['LAB'] === '1'
const lab = new URL('lab.sh', import.meta.url).pathname
const node = (name: string, version: RegExp): RealNix => ({
  version,
  prefix: ['bash', lab, 'exec', name],
})

/** A private store, because this machine may have neither daemon nor store. */
const ownStore = (t: Test): RealNix => {
  const dir = t.testdir()
  return {
    version: /^\d+\.\d+/,
    prefix: [],
    env: {
      NIX_STATE_DIR: `${dir}/state`,
      NIX_LOG_DIR: `${dir}/log`,
      NIX_STORE_DIR: '/nix/store',
      NIX_REMOTE: `local?root=${dir}/root`,
      // The package nix-bin creates no build users
      NIX_CONFIG: 'build-users-group =',
    },
  }
}

const start = (t: Test, nix: RealNix, ...command: string[]) => {
  const [file = '', ...args] = [...nix.prefix, ...command]
  const child: ChildProcessWithoutNullStreams = spawn(file, args, {
    env: { ...process.env, ...nix.env },
  })
  const chunks: Buffer[] = []
  child.stderr.on('data', (chunk: Buffer) => chunks.push(chunk))
  t.teardown(() => child.stdin.destroy())
  return { child, stderr: () => Buffer.concat(chunks).toString() }
}

const canary = () =>
  instantiate({
    name: 'protocol-test',
    system: 'x86_64-linux',
    builder: 'builtin:buildenv',
    args: [],
    env: {
      nonce: randomBytes(8).toString('hex'),
      derivations: '',
      manifest: 'x',
      allowSubstitutes: '',
      preferLocalBuild: '',
    },
  })
const missing = '/nix/store/ivjykdps21cl1shpa911qs5ad37b11m2-canary-0001'

const testProtocols = async (t: Test, nix: RealNix): Promise<void> => {
  const signal = AbortSignal.timeout(120_000)

  await t.test('speaks the worker protocol', async t => {
    const { child } = start(t, nix, 'nix-daemon', '--stdio')
    const worker = await openWorker(child, { signal })
    t.match(worker.version, /^1\.3[45]$/)
    t.match(worker.nixVersion, nix.version)
    t.equal(worker.trusted, worker.version === '1.35' ? true : null)
    t.equal(await worker.isTrusted(), true)
    t.equal(await worker.isValidPath(missing), false)
    const drv = canary()
    t.match(await worker.buildDerivation(drv), { status: 'Built', message: '' })
    t.equal(await worker.isValidPath(drv.outPath), true)
    t.match(await worker.buildDerivation(drv), { isSuccess: true, message: '' })
    await t.rejects(worker.isValidPath('not a path'), {
      name: 'NixError',
      message: /path/,
    })
  })

  await t.test('speaks the serve protocol', async t => {
    const { child, stderr } = start(t, nix, 'nix-store', '--serve', '--write')
    const serve = await openServe(child, { signal })
    t.equal(serve.version, '2.7')
    t.same(await serve.queryValidPaths([missing]), [])
    const drv = canary()
    const limits = { maxSilentSeconds: 20, timeoutSeconds: 20, maxLogBytes: 10_000 }
    t.match(await serve.buildDerivation(drv, limits), { status: 'Built' }, stderr())
    t.same(await serve.queryValidPaths([missing, drv.outPath]), [drv.outPath])
  })

  await t.test('a worker exits after a handshake of the serve protocol', async t => {
    const { child, stderr } = start(t, nix, 'nix-daemon', '--stdio')
    await t.rejects(openServe(child, { signal }), { name: 'UnexpectedEofError' })
    t.match(stderr(), /mismatch|too large/)
  })
}

t.test('this machine', { skip: !isLab && 'LAB is not 1' }, t =>
  testProtocols(t, ownStore(t)),
)
for (const [name, version] of [
  ['b1', /^2\.8\./],
  ['b2', /^2\.26\./],
  ['b3', /^2\.3/],
] as const)
  t.test(`node ${name}`, { skip: !isLab && 'LAB is not 1' }, async t => {
    await testProtocols(t, node(name, version))
    await t.test('reports an untrusted user', async t => {
      const nix = node(name, version)
      // Nix 2.8 splices to the socket, which works with pipes (sshd) but not with the socket pair of Node.
      const piped = 'cat | nix-daemon --stdio | cat'
      const command = ['su', '-s', '/bin/sh', 'plain', '-c', piped]
      const { child, stderr } = start(t, nix, ...command)
      const worker = await openWorker(child, { signal: AbortSignal.timeout(120_000) })
      t.equal(worker.trusted, worker.version === '1.35' ? false : null, stderr())
      t.equal(await worker.isTrusted(), false)
    })
  })
