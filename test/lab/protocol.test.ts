/** Our protocol clients against real Nix: this machine's (with a private store) and that of each node of the lab. */
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import t, { type Test } from 'tap'
import { instantiate } from '../../src/nix/protocol/derivation.ts'
import { openServe } from '../../src/nix/protocol/serve.ts'
import { openWorker } from '../../src/nix/protocol/worker.ts'

interface RealNix {
  readonly version: RegExp
  /** Words to put in front of a remote command. */
  readonly prefix: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

const isLab = process.env['LAB'] === '1'
const lab = new URL('lab.sh', import.meta.url).pathname
const node = (name: string, version: RegExp): RealNix => ({
  version,
  prefix: ['bash', lab, 'exec', name],
})

/** A store of its own: this machine's Nix may have neither daemon nor store. */
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
      // nix-bin alone makes no build users
      NIX_CONFIG: 'build-users-group =',
    },
  }
}

const start = (t: Test, nix: RealNix, ...command: string[]) => {
  const [file = '', ...args] = [...nix.prefix, ...command]
  const child: ChildProcessWithoutNullStreams = spawn(file, args, {
    env: { ...process.env, ...nix.env },
  })
  const said: Buffer[] = []
  child.stderr.on('data', (chunk: Buffer) => said.push(chunk))
  t.teardown(() => child.stdin.destroy())
  return { child, stderr: () => Buffer.concat(said).toString() }
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

const worksWith = async (t: Test, nix: RealNix): Promise<void> => {
  const signal = AbortSignal.timeout(120_000)

  await t.test('worker', async t => {
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

  await t.test('serve', async t => {
    const { child, stderr } = start(t, nix, 'nix-store', '--serve', '--write')
    const serve = await openServe(child, { signal })
    t.equal(serve.version, '2.7')
    t.same(await serve.queryValidPaths([missing]), [])
    const drv = canary()
    const limits = { maxSilentSeconds: 20, timeoutSeconds: 20, maxLogBytes: 10_000 }
    t.match(await serve.buildDerivation(drv, limits), { status: 'Built' }, stderr())
    t.same(await serve.queryValidPaths([missing, drv.outPath]), [drv.outPath])
  })

  await t.test('a worker that is asked in the other protocol ends', async t => {
    const { child, stderr } = start(t, nix, 'nix-daemon', '--stdio')
    await t.rejects(openServe(child, { signal }), { name: 'UnexpectedEofError' })
    t.match(stderr(), /mismatch|too large/)
  })
}

t.test('this machine', { skip: !isLab && 'LAB is not 1' }, t => worksWith(t, ownStore(t)))
for (const [name, version] of [
  ['b1', /^2\.8\./],
  ['b2', /^2\.26\./],
  ['b3', /^2\.3/],
] as const)
  t.test(`node ${name}`, { skip: !isLab && 'LAB is not 1' }, async t => {
    await worksWith(t, node(name, version))
    await t.test('an account that is not trusted', async t => {
      const nix = node(name, version)
      // Nix 2.8 splices to the socket, which takes pipes (as sshd makes) and not the socket pair that Node makes.
      const piped = 'cat | nix-daemon --stdio | cat'
      const command = ['su', '-s', '/bin/sh', 'plain', '-c', piped]
      const { child, stderr } = start(t, nix, ...command)
      const worker = await openWorker(child, { signal: AbortSignal.timeout(120_000) })
      t.equal(worker.trusted, worker.version === '1.35' ? false : null, stderr())
      t.equal(await worker.isTrusted(), false)
    })
  })
