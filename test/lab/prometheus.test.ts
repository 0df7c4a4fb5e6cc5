/** A real Prometheus scrapes a daemon with real builders. */
import { spawnSync } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { dashboardQueries } from '../../scripts/generate/dashboard.ts'
import { freePort } from '../support/free-port.ts'
import { startProgram } from './program.ts'
import { labDir, machineLine, nodes, shared, waitFor } from './support.ts'

t.setTimeout(400_000)

const prometheusDir = fileURLToPath(new URL('../../prometheus', import.meta.url))
const script = fileURLToPath(new URL('lab.sh', import.meta.url))

interface Answer {
  readonly data: {
    readonly result: readonly {
      readonly metric: Readonly<Record<string, string>>
      readonly value: readonly [number, string]
    }[]
  }
}
interface Alert {
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
}
const getJson = async (url: string): Promise<unknown> => {
  try {
    return await (await fetch(url)).json()
  } catch {
    return null
  }
}

void t.test('Prometheus has metrics and alerts of real builders', async t => {
  const port = await freePort()
  const prometheusPort = await freePort()
  const alertmanagerPort = await freePort()
  const dir = await shared()
  const data = await mkdtemp(join(tmpdir(), 'builder-monitor-prometheus-'))
  t.teardown(async () => {
    await dir.drop()
    await rm(data, { recursive: true, force: true })
  })
  // One of the three does not exist
  const hosts = [nodes[0], nodes[1], 'nowhere.invalid']
  const lines = hosts.map(host => machineLine({ scheme: 'ssh-ng', host: host ?? '' }))
  await writeFile(join(dir.outside, 'machines'), `${lines.join('\n')}\n`)
  await writeFile(
    join(dir.outside, 'config.json'),
    JSON.stringify({ listen: [`127.0.0.1:${port}`] }),
  )
  await writeFile(
    join(data, 'prometheus.yml'),
    `global: { scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }
rule_files: ['${join(data, 'alerts.yml')}', '${join(prometheusDir, 'rules.yml')}']
alerting: { alertmanagers: [{ static_configs: [{ targets: ['127.0.0.1:${alertmanagerPort}'] }] }] }
scrape_configs:
  - job_name: builder-monitor
    static_configs: [{ targets: ['127.0.0.1:${port}'] }]
`,
  )

  // The rules with short `for` times
  const rules = await readFile(join(prometheusDir, 'alerts.yml'), 'utf8')
  await writeFile(join(data, 'alerts.yml'), rules.replaceAll(/for: \w+/g, 'for: 1s'))
  await writeFile(
    join(data, 'alertmanager.yml'),
    `route: { receiver: none, group_wait: 1s }
receivers: [{ name: none }]
${await readFile(join(prometheusDir, 'examples', 'alertmanager-inhibit.yml'), 'utf8')}`,
  )

  const product = ['node', '/lab/project/dist/main.js', 'run']
  const monitor = startProgram(
    'bash',
    [script, 'client', 'host', ...product, '--config', `${dir.inside}/config.json`],
    { NIX_CONFIG: `builders = @${dir.inside}/machines` },
  )
  const prometheus = startProgram('prometheus', [
    `--config.file=${join(data, 'prometheus.yml')}`,
    `--storage.tsdb.path=${join(data, 'tsdb')}`,
    `--web.listen-address=127.0.0.1:${prometheusPort}`,
  ])
  // The unpacked package does not find its templates, so it gets its own /usr/share with them
  const withTemplates =
    'test ! -d "$0" || mount -t overlay overlay -o lowerdir="$0:/usr/share" /usr/share; exec prometheus-alertmanager "$@"'
  const alertmanager = startProgram('unshare', [
    ...['--mount', '--propagation', 'private', 'sh', '-c', withTemplates],
    join(labDir, 'tools', 'usr', 'share'),
    `--config.file=${join(data, 'alertmanager.yml')}`,
    `--storage.path=${join(data, 'alertmanager')}`,
    `--web.listen-address=127.0.0.1:${alertmanagerPort}`,
    '--cluster.listen-address=',
  ])
  try {
    const query = encodeURIComponent('nix_builder_up')
    const up = await waitFor('a sample of every builder in Prometheus', 40, async () => {
      const url = `http://127.0.0.1:${prometheusPort}/api/v1/query?query=${query}`
      const answer = (await getJson(url)) as Answer | null
      const samples = answer?.data.result ?? []
      return samples.length === hosts.length ? samples : null
    })
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
      'promtool reports no problem',
    )

    const down = await waitFor('the alert in Alertmanager', 40, async () => {
      const url = `http://127.0.0.1:${alertmanagerPort}/api/v2/alerts?filter=alertname=NixBuilderDown`
      const alerts = (await getJson(url)) as readonly Alert[] | null
      return alerts?.length ? alerts : null
    })
    t.match(down, [
      {
        labels: {
          alertname: 'NixBuilderDown',
          builder: 'nowhere.invalid',
          severity: 'warning',
          job: 'builder-monitor',
        },
        annotations: {
          summary: 'A Nix builder is down.',
          runbook_url: /NixBuilderDown\.md$/,
        },
      },
    ])
    t.equal(down.length, 1, 'no alert for other builders')

    // Every panel of the dashboard has data
    for (const expr of dashboardQueries()) {
      const expression = expr
        .replaceAll('$instance', '.*')
        .replaceAll('$builder', '.*')
        .replaceAll('$__rate_interval', '1m')
      await waitFor(`data for ${expression}`, 60, async () => {
        const url = `http://127.0.0.1:${prometheusPort}/api/v1/query?query=${encodeURIComponent(expression)}`
        const answer = (await getJson(url)) as Answer | null
        return answer?.data.result.length ? true : null
      })
    }

    // The list no longer contains the builder
    await writeFile(join(dir.outside, 'machines'), `${lines.slice(0, 2).join('\n')}\n`)
    await waitFor('the end of the alert', 60, async () => {
      const url = `http://127.0.0.1:${prometheusPort}/api/v1/query?query=${encodeURIComponent('ALERTS{alertname="NixBuilderDown"}')}`
      const answer = (await getJson(url)) as Answer | null
      return answer?.data.result.length === 0 ? true : null
    })
  } catch (error) {
    t.comment(alertmanager.output().slice(-3000))
    t.comment(monitor.output().slice(-3000))
    t.comment(prometheus.output().slice(-3000))
    throw error
  } finally {
    await prometheus.stop()
    await alertmanager.stop()
    t.equal(await monitor.stop(), 0, 'the daemon exits with 0 on SIGTERM', {
      output: monitor.output().slice(-3000),
    })
  }
})
