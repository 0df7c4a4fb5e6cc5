/**
 * Built-in alerting with real builders, a cluster of two real Alertmanagers and a webhook. A builder fails and recovers;
 * every part is killed and restarted in between. A real Prometheus with the rule file has the same alerts.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer as createHttp } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { fault, heal, labDir, machineLine, shared, waitFor } from './support.ts'
import { freePort } from '../support/free-port.ts'

t.setTimeout(500_000)

const script = fileURLToPath(new URL('lab.sh', import.meta.url))
const rulesFile = fileURLToPath(new URL('../../prometheus/alerts.yml', import.meta.url))

/** Factor for every `for` of the rules: five minutes become three seconds. */
const forMultiplier = 0.01
const driver = `
import { runCli } from '/lab/project/dist/cli/command.js'
import { createRunCommand } from '/lab/project/dist/cli/commands/run.js'
const stop = new AbortController()
process.once('SIGTERM', () => stop.abort(new Error('SIGTERM')))
const command = createRunCommand({ alertForMultiplier: ${forMultiplier} })
process.exitCode = await runCli([command], ['run', ...process.argv.slice(2)], {
  out: text => void process.stdout.write(text),
  err: text => void process.stderr.write(text),
  env: process.env,
  isTerminal: false,
  signal: stop.signal,
})
`

/** A child process that can be killed and restarted. */
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
  const stop = async (signal: NodeJS.Signals) => {
    child?.kill(signal)
    child = null
    return await exit
  }
  return { start, stop, output: () => output }
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
interface WebhookAlert {
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

/** Labels of the firing alerts, without those of the scrape. */
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
  'delivers the start and end of an alert while every part is killed',
  async t => {
    const dir = await shared()
    const data = await mkdtemp(join(tmpdir(), 'builder-monitor-alerting-'))
    const webhookAlerts: WebhookAlert[] = []
    const hook = createHttp((request, response) => {
      let body = ''
      request.setEncoding('utf8').on('data', (text: string) => (body += text))
      request.on('end', () => {
        webhookAlerts.push(
          ...(JSON.parse(body) as { alerts: readonly WebhookAlert[] }).alerts,
        )
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
      'route: { receiver: none, group_wait: 1s }\nreceivers: [{ name: none }]\n',
    )
    // The rules with shorter `for` times
    const rules = await readFile(rulesFile, 'utf8')
    const shortRules = rules.replaceAll(
      /for: (\d+)([mh])/g,
      (_, count: string, unit: string) => {
        const seconds = Number(count) * (unit === 'h' ? 3600 : 60)
        return `for: ${Math.round(seconds * forMultiplier)}s`
      },
    )
    await writeFile(join(data, 'alerts.yml'), shortRules)
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
    // The unpacked package does not find its templates, so it gets its own /usr/share with them
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
      webhookAlerts.filter(({ labels }) => labels['alertname'] === 'NixBuilderDown')

    try {
      for (const part of all) part.start()
      await waitFor('a healthy fleet', 60, async () => {
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
      t.equal(
        ofB1()[0]?.fingerprint,
        alerts[0]?.fingerprint,
        'the fingerprint equals that of Alertmanager',
      )

      const same = await waitFor('the same alerts in Prometheus', 30, async () => {
        const [ours, theirs] = await Promise.all([
          firingAt(here),
          firingAt(`http://127.0.0.1:${prometheusPort}`),
        ])
        return ours?.length && JSON.stringify(ours) === JSON.stringify(theirs)
          ? ours
          : null
      })
      t.comment(same)

      // Kill the daemon and one Alertmanager
      await Promise.all([monitor.stop('SIGKILL'), peers[0]?.stop('SIGKILL')])
      monitor.start()
      peers[0]?.start()
      const after = await waitFor('the alert again', 30, isDownAt(managers[0] ?? ''))
      t.equal(after.startsAt, alerts[0]?.startsAt, 'it is the same alert')

      // The builder recovers while the other Alertmanager is down
      await peers[1]?.stop('SIGKILL')
      await heal('b1')
      await waitFor('the end of the alert', 40, isOverAt(managers[0] ?? ''))
      peers[1]?.start()
      await waitFor('the end of the alert at both', 40, isOverAt(managers[1] ?? ''))
      await waitFor('empty delivery queues', 70, async () => {
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
        'the webhook got one start and one end',
      )
    } catch (error) {
      for (const part of all) t.comment(part.output().slice(-3000))
      throw error
    } finally {
      await Promise.all([...peers, prometheus].map(part => part.stop('SIGTERM')))
      t.equal(await monitor.stop('SIGTERM'), 0, 'the daemon exits with 0')
    }
  },
)
