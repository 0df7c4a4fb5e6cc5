/** A real Prometheus scrapes the daemon that watches real builders. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { machineLine, nodes, shared, waitFor } from './support.ts'

t.setTimeout(120_000)

const script = fileURLToPath(new URL('lab.sh', import.meta.url))
const freePort = () =>
  new Promise<number>((resolve, reject) => {
    const server = createServer()
    server.on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })

/** A child whose output is kept and that is gone after the test. */
const run = (file: string, args: readonly string[], env: NodeJS.ProcessEnv = {}) => {
  const child: ChildProcess = spawn(file, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (text: string) => (output += text))
  const exit = new Promise<number | null>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', resolve)
  })
  return {
    output: () => output,
    stop: async () => {
      child.kill('SIGTERM')
      return await exit
    },
  }
}

interface Answer {
  readonly data: {
    readonly result: readonly {
      readonly metric: Readonly<Record<string, string>>
      readonly value: readonly [number, string]
    }[]
  }
}
const getJson = async (url: string): Promise<unknown> => {
  try {
    return await (await fetch(url)).json()
  } catch {
    return null
  }
}

void t.test('Prometheus knows which builders are up', async t => {
  const [port, prometheusPort] = [await freePort(), await freePort()]
  const dir = await shared()
  const data = await mkdtemp(join(tmpdir(), 'builder-monitor-prometheus-'))
  t.teardown(async () => {
    await dir.drop()
    await rm(data, { recursive: true, force: true })
  })
  // one of the three does not exist
  const hosts = [nodes[0], nodes[1], 'nowhere.invalid']
  const lines = hosts.map(host => machineLine({ scheme: 'ssh-ng', host: host ?? '' }))
  await writeFile(join(dir.outside, 'machines'), `${lines.join('\n')}\n`)
  await writeFile(
    join(dir.outside, 'config.json'),
    JSON.stringify({ listen: [`127.0.0.1:${port}`] }),
  )
  await writeFile(
    join(data, 'prometheus.yml'),
    `global: { scrape_interval: 1s, scrape_timeout: 1s }
scrape_configs:
  - job_name: builder-monitor
    static_configs: [{ targets: ['127.0.0.1:${port}'] }]
`,
  )

  const product = ['node', '/lab/project/dist/main.js', 'run']
  const monitor = run(
    'bash',
    [script, 'client', 'host', ...product, '--config', `${dir.inside}/config.json`],
    { NIX_CONFIG: `builders = @${dir.inside}/machines` },
  )
  const prometheus = run('prometheus', [
    `--config.file=${join(data, 'prometheus.yml')}`,
    `--storage.tsdb.path=${join(data, 'tsdb')}`,
    `--web.listen-address=127.0.0.1:${prometheusPort}`,
  ])
  try {
    const query = encodeURIComponent('nix_builder_up')
    const up = await waitFor(
      'an answer of Prometheus for every builder',
      40,
      async () => {
        const url = `http://127.0.0.1:${prometheusPort}/api/v1/query?query=${query}`
        const answer = (await getJson(url)) as Answer | null
        const found = answer?.data.result ?? []
        return found.length === hosts.length ? found : null
      },
    )
    const values = Object.fromEntries(
      up.map(({ metric, value }) => [metric['builder'] ?? '', value[1]] as const),
    )
    t.strictSame(values, { b1: '1', b2: '1', 'nowhere.invalid': '0' })

    const scraped = await fetch(`http://127.0.0.1:${port}/metrics`)
    const input = await scraped.text()
    const promtool = spawnSync('promtool', ['check', 'metrics'], {
      input,
      encoding: 'utf8',
    })
    t.strictSame(
      [promtool.status, promtool.stdout, promtool.stderr],
      [0, '', ''],
      'promtool finds nothing to say',
    )
  } catch (error) {
    t.comment(monitor.output().slice(-3000))
    t.comment(prometheus.output().slice(-3000))
    throw error
  } finally {
    await prometheus.stop()
    t.equal(await monitor.stop(), 0, 'the daemon ends well on SIGTERM', {
      output: monitor.output().slice(-3000),
    })
  }
})
