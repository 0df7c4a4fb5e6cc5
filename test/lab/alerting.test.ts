/**
 * The daemon alerts by itself: two real Alertmanagers that are a cluster, a webhook, real builders. A builder is broken and
 * mended; in between each part is killed and started again. A real Prometheus with the rule file says the same.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer as createHttp } from 'node:http'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { fault, heal, labDir, machineLine, shared, waitFor } from './support.ts'

t.setTimeout(500_000)

const script = fileURLToPath(new URL('lab.sh', import.meta.url))
const rulesFile = fileURLToPath(new URL('../../prometheus/alerts.yml', import.meta.url))

/** Five minutes are three seconds here; nothing that a user could set. */
const patience = 0.01
const driver = `
import { runCli } from '/lab/project/dist/cli/command.js'
import { createRunCommand } from '/lab/project/dist/cli/commands/run.js'
const stop = new AbortController()
process.once('SIGTERM', () => stop.abort(new Error('SIGTERM')))
const command = createRunCommand({ alertForMultiplier: ${patience} })
process.exitCode = await runCli([command], ['run', ...process.argv.slice(2)], {
  out: text => void process.stdout.write(text),
  err: text => void process.stderr.write(text),
  env: process.env,
  isTerminal: false,
  signal: stop.signal,
})
`

const freePort = () =>
  new Promise<number>((resolve, reject) => {
    const server = createServer()
    server.on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })

/** A child that can be killed and started again. */
const service = (file: string, args: readonly string[], env: NodeJS.ProcessEnv = {}) => {
  let child: ChildProcess | null = null
  let exit: Promise<number | null> = Promise.resolve(null)
  let output = ''
  const start = () => {
    const started = spawn(file, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    })
    for (const stream of [started.stdout, started.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => (output += text))
    exit = new Promise((resolve, reject) => {
      started.on('error', reject)
      started.on('close', resolve)
    })
    child = started
  }
  const end = async (signal: NodeJS.Signals) => {
    child?.kill(signal)
    child = null
    return await exit
  }
  return { start, end, output: () => output }
}

type Labels = Readonly<Record<string, string>>
interface ApiAlert {
  readonly labels: Labels
  readonly state: string
}
interface ManagerAlert {
  readonly labels: Labels
  readonly annotations: Labels
  readonly startsAt: string
  readonly generatorURL: string
  readonly fingerprint: string
}
interface Told {
  readonly status: string
  readonly labels: Labels
  readonly startsAt: string
  readonly fingerprint: string
}

const getText = async (url: string): Promise<string | null> => {
  try {
    return await (await fetch(url)).text()
  } catch {
    return null
  }
}
const getJson = async (url: string): Promise<unknown> => {
  const text = await getText(url)
  return text === null ? null : JSON.parse(text)
}

/** What fires, without the labels that say who saw it. */
const firingAt = async (base: string): Promise<readonly string[] | null> => {
  const answer = (await getJson(`${base}/api/v1/alerts`)) as {
    data: { alerts: readonly ApiAlert[] }
  } | null
  return (
    answer?.data.alerts
      .filter(({ state }) => state === 'firing')
      .map(({ labels }) => {
        const { instance: _, job: __, ...own } = labels
        return JSON.stringify(Object.entries(own).sort())
      })
      .sort() ?? null
  )
}

void t.test(
  'a builder breaks and is mended, and every part is killed between',
  async t => {
    const dir = await shared()
    const data = await mkdtemp(join(tmpdir(), 'builder-monitor-alerting-'))
    const told: Told[] = []
    const hook = createHttp((request, response) => {
      let body = ''
      request.setEncoding('utf8').on('data', (text: string) => (body += text))
      request.on('end', () => {
        told.push(...(JSON.parse(body) as { alerts: readonly Told[] }).alerts)
        response.end()
      })
    })
    await new Promise<void>(resolve => hook.listen(0, '127.0.0.1', resolve))
    const hookPort = (hook.address() as AddressInfo).port
    const [port, prometheusPort, webA, webB, meshA, meshB] = await Promise.all(
      Array.from({ length: 6 }, freePort),
    )
    const managers = [webA, webB].map(web => `http://127.0.0.1:${web}`)
    const here = `http://127.0.0.1:${port}`

    await mkdir(join(dir.outside, 'state'))
    await writeFile(join(dir.outside, 'driver.mjs'), driver)
    await writeFile(
      join(dir.outside, 'machines'),
      ['b1', 'b2'].map(host => `${machineLine({ scheme: 'ssh-ng', host })}\n`).join(''),
    )
    await writeFile(
      join(dir.outside, 'config.json'),
      JSON.stringify({
        listen: [`127.0.0.1:${port}`],
        schedule: { login: '*/2 * * * * *' },
        alerting: {
          enable: true,
          alertmanagers: managers.map((url, i) => ({ url, name: `peer${i}` })),
          webhooks: [{ name: 'hook', url: `http://127.0.0.1:${hookPort}/` }],
        },
      }),
    )
    await writeFile(
      join(data, 'alertmanager.yml'),
      'route: { receiver: nobody, group_wait: 1s }\nreceivers: [{ name: nobody }]\n',
    )
    // The rules as they are, but for their patience
    const rules = await readFile(rulesFile, 'utf8')
    const hasty = rules.replaceAll(
      /for: (\d+)([mh])/g,
      (_, count: string, unit: string) => {
        const seconds = Number(count) * (unit === 'h' ? 3600 : 60)
        return `for: ${Math.round(seconds * patience)}s`
      },
    )
    await writeFile(join(data, 'alerts.yml'), hasty)
    await writeFile(
      join(data, 'prometheus.yml'),
      `global: { scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }
rule_files: ['${join(data, 'alerts.yml')}']
scrape_configs:
  - job_name: builder-monitor
    static_configs: [{ targets: ['127.0.0.1:${port}'] }]
`,
    )

    const monitor = service(
      'bash',
      [
        ...[script, 'client', 'host', 'env', `STATE_DIRECTORY=${dir.inside}/state`],
        ...['node', `${dir.inside}/driver.mjs`, '--config', `${dir.inside}/config.json`],
      ],
      { NIX_CONFIG: `builders = @${dir.inside}/machines` },
    )
    const prometheus = service('prometheus', [
      `--config.file=${join(data, 'prometheus.yml')}`,
      `--storage.tsdb.path=${join(data, 'tsdb')}`,
      `--web.listen-address=127.0.0.1:${prometheusPort}`,
    ])
    // Unpacked, it does not find its templates, so it gets a /usr/share of its own that has them
    const withTemplates =
      'test ! -d "$0" || mount -t overlay overlay -o lowerdir="$0:/usr/share" /usr/share; exec prometheus-alertmanager "$@"'
    const peer = (web: number | undefined, mesh: number | undefined, other: string) =>
      service('unshare', [
        ...['--mount', '--propagation', 'private', 'sh', '-c', withTemplates],
        join(labDir, 'tools', 'usr', 'share'),
        `--config.file=${join(data, 'alertmanager.yml')}`,
        `--storage.path=${join(data, `alertmanager-${web}`)}`,
        `--web.listen-address=127.0.0.1:${web}`,
        `--cluster.listen-address=127.0.0.1:${mesh}`,
        ...(other === '' ? [] : [`--cluster.peer=${other}`]),
      ])
    const peers = [peer(webA, meshA, ''), peer(webB, meshB, `127.0.0.1:${meshA}`)]
    const all = [...peers, prometheus, monitor]
    t.teardown(async () => {
      hook.closeAllConnections()
      hook.close()
      await heal('b1')
      await dir.drop()
      await rm(data, { recursive: true, force: true })
    })

    const downAt = async (base: string): Promise<readonly ManagerAlert[] | null> =>
      (await getJson(`${base}/api/v2/alerts?filter=alertname=NixBuilderDown`)) as
        readonly ManagerAlert[] | null
    const isDownAt = (base: string) => async () => {
      const [alert] = (await downAt(base)) ?? []
      return alert ?? null
    }
    const isOverAt = (base: string) => async () =>
      (await downAt(base))?.length === 0 ? true : null
    const ofB1 = () =>
      told.filter(({ labels }) => labels['alertname'] === 'NixBuilderDown')

    try {
      for (const one of all) one.start()
      await waitFor('a fleet that works', 60, async () => {
        const metrics = (await getText(`${here}/metrics`)) ?? ''
        const verified = metrics.match(/nix_builders_available\{[^}]*feature=""\} 2/)
        return verified && (await firingAt(here))?.length === 0 ? true : null
      })

      await fault('b1', 'sshd-stop')
      const alerts = await Promise.all(
        managers.map(base => waitFor(`the alert at ${base}`, 30, isDownAt(base))),
      )
      t.match(alerts, [
        {
          labels: {
            alertname: 'NixBuilderDown',
            builder: 'b1',
            severity: 'warning',
            state: 'down',
            job: 'builder-monitor',
            instance: RegExp(`:${port}$`),
          },
          annotations: { runbook_url: /\/runbooks\/NixBuilderDown$/ },
          generatorURL: `${here}/builders/b1`,
        },
        { fingerprint: alerts[0]?.fingerprint, startsAt: alerts[0]?.startsAt },
      ])
      await waitFor('the webhook', 10, async () => (ofB1().length > 0 ? true : null))
      t.equal(ofB1()[0]?.fingerprint, alerts[0]?.fingerprint, "is Alertmanager's own")

      const same = await waitFor('the same of Prometheus', 30, async () => {
        const [ours, theirs] = await Promise.all([
          firingAt(here),
          firingAt(`http://127.0.0.1:${prometheusPort}`),
        ])
        return ours?.length && JSON.stringify(ours) === JSON.stringify(theirs)
          ? ours
          : null
      })
      t.comment(same)

      // Killed without a word, the daemon and one of the peers
      await Promise.all([monitor.end('SIGKILL'), peers[0]?.end('SIGKILL')])
      monitor.start()
      peers[0]?.start()
      const after = await waitFor('the alert again', 30, isDownAt(managers[0] ?? ''))
      t.equal(after.startsAt, alerts[0]?.startsAt, 'it is the same alert')

      // Mended while the other peer is away
      await peers[1]?.end('SIGKILL')
      await heal('b1')
      await waitFor('its end', 40, isOverAt(managers[0] ?? ''))
      peers[1]?.start()
      await waitFor('its end at both', 40, isOverAt(managers[1] ?? ''))
      await waitFor('everybody told', 70, async () => {
        const metrics = (await getText(`${here}/metrics`)) ?? ''
        const waiting = [...metrics.matchAll(/notifications_queue_length\{.*\} (\d+)/g)]
        return waiting.length === 3 && waiting.every(([, n]) => n === '0')
          ? metrics
          : null
      }).then(metrics => {
        const lost = [...metrics.matchAll(/notifications_failed_total\{.*\} (\d+)/g)]
        t.strictSame(
          lost.map(([, count]) => count),
          ['0', '0', '0'],
          'nothing was lost',
        )
      })
      t.strictSame(
        ofB1().map(({ status, startsAt }) => [status, startsAt]),
        [
          ['firing', ofB1()[0]?.startsAt],
          ['resolved', ofB1()[0]?.startsAt],
        ],
        'the webhook heard of its begin once, and of its end',
      )
    } catch (error) {
      for (const one of all) t.comment(one.output().slice(-3000))
      throw error
    } finally {
      await Promise.all([...peers, prometheus].map(one => one.end('SIGTERM')))
      t.equal(await monitor.end('SIGTERM'), 0, 'the daemon ends well')
    }
  },
)
