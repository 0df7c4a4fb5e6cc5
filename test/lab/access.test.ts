/** A real Prometheus scrapes over TLS, with a password and with a client certificate, while certificates are replaced. */
import { spawn } from 'node:child_process'
import { copyFile, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { fileURLToPath } from 'node:url'
import { hashSync } from 'bcryptjs'
import t from 'tap'
import { certificate, certificatePath } from '../support/certificates.ts'
import { waitFor } from './support.ts'
import { freePort } from '../support/free-port.ts'

t.setTimeout(400_000)

const skip = process.env['LAB'] !== '1' && 'needs Prometheus: npm run test:lab'
const main = fileURLToPath(new URL('../../dist/main.js', import.meta.url))

/** Returns the certificate of a new connection. */
const served = (port: number) =>
  new Promise<string>((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, ca: certificate('ca.pem') }, () => {
      resolve(socket.getPeerX509Certificate()?.toString() ?? '')
      socket.destroy()
    })
    socket.on('error', reject)
  })

void t.test('no scrape fails while certificates are replaced', { skip }, async t => {
  const directory = await mkdtemp(join(tmpdir(), 'builder-monitor-access-'))
  const at = (file: string) => join(directory, file)
  const put = async (name: string) => {
    for (const end of ['pem', 'key']) {
      await copyFile(certificatePath(`${name}.${end}`), at(`next.${end}`))
      await rename(at(`next.${end}`), at(`server.${end}`))
    }
  }
  await put('server')
  const pair = 'cert_file: server.pem, key_file: server.key'
  const ports = { password: await freePort(), client: await freePort() }
  await writeFile(
    at('password.yml'),
    `tls_server_config: { ${pair} }\nbasic_auth_users: { prometheus: "${hashSync('secret', 10)}" }\n`,
  )
  await writeFile(
    at('client.yml'),
    `tls_server_config: { ${pair}, client_auth_type: RequireAndVerifyClientCert, client_ca_file: ${certificatePath('ca.pem')}, client_allowed_sans: [scraper.example] }\n`,
  )
  const ca = `ca_file: ${certificatePath('ca.pem')}`
  const client = (name: string) =>
    `cert_file: ${certificatePath(`${name}.pem`)}, key_file: ${certificatePath(`${name}.key`)}`
  const job = (name: string, port: number, rest: string) =>
    `  - { job_name: ${name}, scheme: https, static_configs: [{ targets: ['127.0.0.1:${port}'] }], ${rest} }\n`
  await writeFile(
    at('prometheus.yml'),
    `global: { scrape_interval: 1s, scrape_timeout: 1s }
scrape_configs:
${job('password', ports.password, `tls_config: { ${ca} }, basic_auth: { username: prometheus, password: secret }`)}${job('client', ports.client, `tls_config: { ${ca}, ${client('client')} }`)}${job('anonymous', ports.password, `tls_config: { ${ca} }`)}${job('untrusted', ports.client, `tls_config: { ${ca}, ${client('untrusted')} }`)}`,
  )
  const prometheusPort = await freePort()
  const outputs: string[] = []
  const run = (file: string, args: readonly string[], env: NodeJS.ProcessEnv = {}) => {
    const child = spawn(file, args, { env: { ...process.env, ...env } })
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => void outputs.push(text))
    const ended = new Promise<number | null>(resolve => child.on('close', resolve))
    return () => {
      child.kill('SIGTERM')
      return ended
    }
  }
  const daemon = (name: 'password' | 'client') =>
    run(
      process.execPath,
      [
        main,
        'run',
        '--listen',
        `127.0.0.1:${ports[name]}`,
        '--web.config.file',
        at(`${name}.yml`),
      ],
      { NIX_CONF_DIR: directory, NIX_USER_CONF_FILES: '', RUNTIME_DIRECTORY: at(name) },
    )
  const query = async (expression: string): Promise<Record<string, number>> => {
    const url = `http://127.0.0.1:${prometheusPort}/api/v1/query?query=${encodeURIComponent(expression)}`
    const answer = await fetch(url).catch(() => null)
    const { data } = ((await answer?.json().catch(() => null)) as {
      data: { result: { metric: { job: string }; value: [number, string] }[] }
    } | null) ?? { data: { result: [] } }
    return Object.fromEntries(
      data.result.map(({ metric, value }) => [metric.job, Number(value[1])]),
    )
  }
  const stops = [daemon('password'), daemon('client')]
  try {
    for (const port of Object.values(ports))
      await waitFor('a daemon', 30, () =>
        served(port).catch((error: NodeJS.ErrnoException) =>
          error.code === 'ECONNREFUSED' ? null : '',
        ),
      )
    stops.push(
      run('prometheus', [
        `--config.file=${at('prometheus.yml')}`,
        `--storage.tsdb.path=${at('tsdb')}`,
        `--web.listen-address=127.0.0.1:${prometheusPort}`,
      ]),
    )
    await waitFor('the first scrapes', 40, async () => {
      const up = await query('up')
      return Object.keys(up).length === 4 && up['password'] && up['client'] ? up : null
    })
    t.same(await query('up'), { password: 1, client: 1, anonymous: 0, untrusted: 0 })
    for (const name of ['renewed', 'server', 'renewed'] as const) {
      await put(name)
      const wanted = certificate(`${name}.pem`).trim()
      await waitFor(`the certificate ${name}`, 20, async () =>
        (await served(ports.password)).trim() === wanted ? true : null,
      )
      const before = await query('count_over_time(up[1h])')
      await waitFor('three more scrapes', 20, async () => {
        const now = await query('count_over_time(up[1h])')
        return ['password', 'client'].every(job => now[job]! >= before[job]! + 3)
          ? true
          : null
      })
    }
    t.match(await query('min_over_time(up[1h])'), { password: 1, client: 1 })
    t.match(await query('max_over_time(up[1h])'), { anonymous: 0, untrusted: 0 })
    t.notMatch(outputs.join(''), /PRIVATE KEY|\$2[aby]\$/)
  } catch (error) {
    t.comment(outputs.join('').slice(-4000))
    throw error
  } finally {
    for (const stop of stops.toReversed()) await stop()
    await rm(directory, { recursive: true, force: true })
  }
})
