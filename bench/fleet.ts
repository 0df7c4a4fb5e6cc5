/**
 * The daemon over 200 demo builders with telemetry every 30 s: time to the first health, CPU as a share of one core,
 * resident memory. The peer is what one `ssh -G` (or `true`) spawned for each builder and interval would cost by itself.
 * Goals: first health within 3 s, under 5 % and 150 MB. Run: npm run bench
 */
import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const count = Number(process.env['BENCH_BUILDERS'] ?? 200)
const intervalSeconds = 30
const seconds = Number(process.env['BENCH_SECONDS'] ?? 90)
const main = fileURLToPath(new URL('../src/main.js', import.meta.url))

const directory = mkdtempSync(join(tmpdir(), 'builder-monitor-bench-'))
const config = join(directory, 'config.json')
// The intervals that count are those of the default configuration; canaries need a Nix
writeFileSync(config, JSON.stringify({ canary: { enabled: false } }))
const port = await freePort()
const started = performance.now()
const daemon = spawn(
  process.execPath,
  [
    ...[main, 'demo', '--config', config, '--log-level', 'error'],
    ...['--demo-builders', String(count), '--listen', `127.0.0.1:${port}`],
  ],
  {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, RUNTIME_DIRECTORY: directory },
  },
)
const pid = daemon.pid ?? 0
const tick = 1000 / Number(execFileSync('getconf', ['CLK_TCK']).toString())
try {
  const listening = await until(async () => (await ask('/-/healthy')) !== null)
  const firstHealth = await until(isReady)
  const healthy = (await states()).filter(state => state === 'healthy').length
  // What the start leaves to collect is not what the watch costs
  await sleep(10_000)
  const before = cpuMs()
  const from = performance.now()
  let peak = 0
  while (performance.now() - from < seconds * 1000) {
    await sleep(1000)
    peak = Math.max(peak, residentMb())
  }
  const share = (cpuMs() - before) / (performance.now() - from)
  const peer = (spawnMs() * count) / (intervalSeconds * 1000)
  console.log(
    `fleet: ${count} builders, listening after ${listening.toFixed(1)} s, first health after ${firstHealth.toFixed(1)} s (goal 3), ${healthy} healthy`,
  )
  console.log(
    `cpu: ${(share * 100).toFixed(1)} % of one core over ${seconds} s (goal: under 5)`,
  )
  console.log(`memory: at most ${peak.toFixed(0)} MB resident (goal: under 150)`)
  console.log(
    `peer: ${(peer * 100).toFixed(1)} % for spawning one ssh -G per builder and interval alone, ratio ${(share / peer).toFixed(2)}`,
  )
  if (share >= 0.05 || peak >= 150 || firstHealth > 3 || healthy < count)
    process.exitCode = 1
} finally {
  daemon.kill('SIGTERM')
  await new Promise(resolve => daemon.once('exit', resolve))
  rmSync(directory, { recursive: true, force: true })
}

/** Seconds from the start of the daemon until the condition held. */
async function until(condition: () => Promise<boolean>): Promise<number> {
  while (!(await condition())) {
    if (performance.now() - started > 60_000)
      throw new Error('the daemon does not respond')
    await sleep(50)
  }
  return (performance.now() - started) / 1000
}

/** Returns a body with status 200, else null. */
async function ask(path: string): Promise<string | null> {
  try {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`)
    const text = await answer.text()
    return answer.ok ? text : null
  } catch {
    return null
  }
}

/** True when every builder was checked. Cheaper than the list of builders. */
async function isReady(): Promise<boolean> {
  return (await ask('/-/ready')) !== null
}

async function states(): Promise<string[]> {
  const list = (await ask('/api/v1/builders')) ?? '{"builders":[]}'
  const { builders } = JSON.parse(list) as { builders: { state: string }[] }
  return builders.map(({ state }) => state)
}

/** User and system time of the daemon alone, its threads included, its children not (proc(5)). */
function cpuMs(): number {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) * tick
}

function residentMb(): number {
  const text = readFileSync(`/proc/${pid}/status`, 'utf8')
  return (Number(/^VmRSS:\s+(\d+)/m.exec(text)?.[1]) * 1024) / 1e6
}

/** CPU of one spawned `ssh -G`. */
function spawnMs(): number {
  const script = `TIMEFORMAT='%U %S'; { time for i in {1..100}; do ssh -G builder >/dev/null 2>&1; done; } 2>&1`
  const [user = NaN, system = NaN] = execFileSync('bash', ['-c', script])
    .toString()
    .trim()
    .split(' ')
    .map(Number)
  return ((user + system) * 1000) / 100
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port: free } = server.address() as AddressInfo
  await new Promise(resolve => server.close(resolve))
  return free
}
