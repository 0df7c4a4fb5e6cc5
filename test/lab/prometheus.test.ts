/** A real Prometheus scrapes the daemon that watches real builders. */
import { spawnSync } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { dashboardQueries } from '../../scripts/generate/dashboard.ts'
import { freePort, startProgram } from './program.ts'
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

void t.test('Prometheus knows which builders are up', async t => {
  const port = await freePort()
  const prometheusPort = await freePort()
  const alertmanagerPort = await freePort()
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
    `global: { scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }
rule_files: ['${join(data, 'alerts.yml')}', '${join(prometheusDir, 'rules.yml')}']
alerting: { alertmanagers: [{ static_configs: [{ targets: ['127.0.0.1:${alertmanagerPort}'] }] }] }
scrape_configs:
  - job_name: builder-monitor
    static_configs: [{ targets: ['127.0.0.1:${port}'] }]
`,
  )

  // The rules as they are, but for their patience
  const rules = await readFile(join(prometheusDir, 'alerts.yml'), 'utf8')
  await writeFile(join(data, 'alerts.yml'), rules.replaceAll(/for: \w+/g, 'for: 1s'))
  await writeFile(
    join(data, 'alertmanager.yml'),
    `route: { receiver: nobody, group_wait: 1s }
receivers: [{ name: nobody }]
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
  // Unpacked, it does not find its templates, so it gets a /usr/share of its own that has them
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

    const down = await waitFor('the alert in Alertmanager', 40, async () => {
      const url = `http://127.0.0.1:${alertmanagerPort}/api/v2/alerts?filter=alertname=NixBuilderDown`
      const found = (await getJson(url)) as readonly Alert[] | null
      return found?.length ? found : null
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
    t.equal(down.length, 1, 'and no other builder is called down')

    // Every panel of the dashboard has something to draw
    for (const expr of dashboardQueries()) {
      const asked = expr
        .replaceAll('$instance', '.*')
        .replaceAll('$builder', '.*')
        .replaceAll('$__rate_interval', '1m')
      await waitFor(`data for ${asked}`, 60, async () => {
        const url = `http://127.0.0.1:${prometheusPort}/api/v1/query?query=${encodeURIComponent(asked)}`
        const answer = (await getJson(url)) as Answer | null
        return answer?.data.result.length ? true : null
      })
    }

    // Mended: the list names it no more
    await writeFile(join(dir.outside, 'machines'), `${lines.slice(0, 2).join('\n')}\n`)
    await waitFor('the alert is over', 60, async () => {
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
    t.equal(await monitor.stop(), 0, 'the daemon ends well on SIGTERM', {
      output: monitor.output().slice(-3000),
    })
  }
})
