/** The daemon with a web configuration file: start, reload and error messages. */
import { Agent, request } from 'node:https'
import { request as plainRequest } from 'node:http'
import { copyFile, mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { hashSync } from 'bcryptjs'
import t, { type Test } from 'tap'
import { certificate, certificatePath } from '../support/certificates.ts'
import { conf, run, scratch, start } from './support.ts'
import { freePort } from '../support/free-port.ts'

// Most of the time is waiting for processes
t.jobs = 4

const authorization = `Basic ${Buffer.from('alice:wonderland').toString('base64')}`

interface SendOptions {
  readonly path?: string
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly agent?: Agent
}
const send = (
  port: number,
  { headers = { authorization }, ...options }: SendOptions = {},
) =>
  new Promise<{ status: number | undefined; body: string }>((resolve, reject) => {
    const ca = certificate('ca.pem')
    const agent = options.agent ?? false
    const outgoing = request(
      { host: '127.0.0.1', port, ca, ...options, headers, agent },
      answer => {
        let body = ''
        answer.setEncoding('utf8').on('data', (text: string) => (body += text))
        answer.on('error', reject)
        answer.on('end', () => resolve({ status: answer.statusCode, body }))
      },
    )
    outgoing.on('error', reject)
    outgoing.end()
  })

/** Creates a directory with both configuration files and starts a daemon with them. */
const begin = async (t: Test, web: string) => {
  const env = await conf(t, '')
  const directory = env['NIX_CONF_DIR']!
  const at = (file: string) => join(directory, file)
  const port = await freePort()
  const put = (name: string) =>
    Promise.all(
      ['pem', 'key'].map(async end => {
        await copyFile(certificatePath(`${name}.${end}`), at(`next.${end}`))
        await rename(at(`next.${end}`), at(`server.${end}`))
      }),
    )
  const listen = (...addresses: string[]) =>
    writeFile(at('config.json'), JSON.stringify({ listen: addresses }))
  await put('server')
  await writeFile(at('web.yml'), web)
  await listen(`127.0.0.1:${port}`)
  const daemon = start(['run', '--config', at('config.json')], {
    ...env,
    RUNTIME_DIRECTORY: directory,
    BUILDER_MONITOR_WEB_CONFIG: at('web.yml'),
  })
  t.teardown(() => daemon.child.kill('SIGKILL'))
  await daemon.saw(/"msg":"started"/)
  const socketPath = at('control.sock')
  /** Same request as the reload command, which is too slow to run often. */
  const reloadNow = () =>
    new Promise<{ status: number | undefined; body: string }>((resolve, reject) => {
      plainRequest({ socketPath, path: '/-/reload', method: 'POST' }, answer => {
        let body = ''
        answer.setEncoding('utf8').on('data', (text: string) => (body += text))
        answer.on('end', () => resolve({ status: answer.statusCode, body }))
      })
        .on('error', reject)
        .end()
    })
  const reload = () => run(['reload', '--socket', socketPath])
  return { reloadNow, at, put, listen, port, daemon, reload }
}

const web = `tls_server_config: { cert_file: server.pem, key_file: server.key }
basic_auth_users: { alice: "${hashSync('wonderland', 5)}" }
`

t.test('no scrape fails during 20 reloads of everything', async t => {
  const { put, listen, port, reloadNow, at } = await begin(t, web)
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  t.teardown(() => agent.destroy())
  const other = await freePort()
  let isOver = false
  const failures: unknown[] = []
  const counts = { kept: 0, fresh: 0 }
  const scrape = async (kind: 'kept' | 'fresh') => {
    while (!isOver)
      try {
        const options = { path: '/metrics', ...(kind === 'kept' ? { agent } : {}) }
        const { status, body } = await send(port, options)
        if (status !== 200 || !body.includes('builder_monitor_build_info'))
          failures.push({ status, body: body.slice(0, 80) })
        counts[kind]++
        await new Promise(resolve => setTimeout(resolve, 10))
      } catch (error) {
        failures.push(error)
      }
  }
  const scrapes = Promise.all([scrape('kept'), scrape('fresh')])
  for (let i = 0; i < 20; i++) {
    await put(i % 2 ? 'server' : 'renewed')
    const more = i % 3 ? [`127.0.0.1:${other}`, `unix:${at('web.sock')}`] : []
    await listen(`127.0.0.1:${port}`, ...more)
    const before = { ...counts }
    t.match(await reloadNow(), { status: 200, body: 'reloaded\n' })
    const alive = await send(port, { path: '/-/healthy' })
    t.equal(alive.status, 200)
    while (counts.kept <= before.kept || counts.fresh <= before.fresh)
      await new Promise(resolve => setTimeout(resolve, 5))
  }
  isOver = true
  await scrapes
  t.same(failures, [], `${counts.kept} and ${counts.fresh} scrapes`)
})

t.test('changed certificates and passwords apply without a reload', async t => {
  const { at, put, port, daemon } = await begin(t, web)
  t.equal((await send(port)).status, 200)
  t.equal((await send(port, { headers: {} })).status, 401)
  await put('renewed')
  await daemon.saw(/web configuration changed/)
  t.equal((await send(port)).status, 200)
  await writeFile(at('web.yml'), web.replace('alice', 'bob'))
  while ((await send(port)).status !== 401)
    await new Promise(resolve => setTimeout(resolve, 50))
  await writeFile(at('web.yml'), web.replace('alice', 'alice alice'))
  const bob = {
    authorization: `Basic ${Buffer.from('bob:wonderland').toString('base64')}`,
  }
  t.equal((await send(port, { headers: bob })).status, 200)
})

t.test('a failed reload is reported, counted and changes nothing', async t => {
  const { at, listen, port, reload, daemon } = await begin(t, web)
  const success = async () =>
    /^builder_monitor_config_last_reload_successful (\d)$/m.exec(
      (await send(port, { path: '/metrics' })).body,
    )?.[1]
  const occupied = createServer()
  await new Promise<void>(resolve => occupied.listen(0, '127.0.0.1', resolve))
  t.teardown(() => occupied.close())
  const address = `127.0.0.1:${(occupied.address() as AddressInfo).port}`
  await listen(`127.0.0.1:${port}`, address)
  t.match(await reload(), {
    code: 1,
    stderr: new RegExp(`cannot listen on ${address}: the address is in use`),
  })
  t.equal(await success(), '0')
  await listen(`127.0.0.1:${port}`)
  await writeFile(at('web.yml'), `${web}rate_limits: {}\n`)
  t.match(await reload(), {
    code: 1,
    stderr: /web\.yml:3: unknown key rate_limits, did you mean rate_limit\?/,
  })
  t.equal(await success(), '0')
  const post = { method: 'POST', path: '/-/reload' }
  t.equal((await send(port, { ...post, headers: {} })).status, 401)
  t.equal(
    (
      await send(port, {
        ...post,
        headers: { authorization, origin: 'https://evil.example' },
      })
    ).status,
    403,
  )
  t.equal((await send(port, post)).status, 500)
  await writeFile(at('web.yml'), web)
  t.match(await send(port, post), { status: 200, body: 'reloaded\n' })
  t.equal(await success(), '1')
  daemon.child.kill('SIGTERM')
  t.match(await daemon.ended, { code: 0 })
})

t.test('a reload turns TLS off and on', async t => {
  const { at, port, reload } = await begin(t, web)
  const plain = () => fetch(`http://127.0.0.1:${port}/-/healthy`)
  await writeFile(at('web.yml'), '')
  t.match(await reload(), { code: 1, stderr: /no passwords any more/ })
  await t.rejects(plain(), 'an emptied file opens nothing')
  await writeFile(at('web.yml'), web.replace(/^.*\n/, ''))
  t.match(await reload(), { code: 0 })
  t.equal((await plain()).status, 401)
  await writeFile(at('web.yml'), web)
  t.match(await reload(), { code: 0 })
  t.equal((await send(port)).status, 200)
})

t.test('run serves several addresses and a unix socket', async t => {
  const directory = await scratch(t)
  const socketPath = join(directory, 'web.sock')
  const args = ['run', '--listen', '127.0.0.1:0', '--listen', `unix:${socketPath}`]
  const env = { ...(await conf(t, '')), RUNTIME_DIRECTORY: directory }
  const daemon = start(args, env)
  t.teardown(() => daemon.child.kill('SIGKILL'))
  const [, address] = await daemon.saw(/"addresses":\["(127[^"]+)","\/[^"]+web\.sock"/)
  t.equal((await fetch(`http://${address}/-/healthy`)).status, 200)
  const status = await new Promise((resolve, reject) => {
    plainRequest({ socketPath, path: '/-/healthy' }, answer => {
      answer.resume()
      resolve(answer.statusCode)
    })
      .on('error', reject)
      .end()
  })
  t.equal(status, 200)
  t.match(await run(['run', '--listen', `unix:${socketPath}`], await conf(t, '')), {
    code: 1,
    stderr: /the socket is in use/,
  })
  daemon.child.kill('SIGTERM')
  t.match(await daemon.ended, { code: 0 })
})

t.test('run prints errors at start and exits with 78, 1 or 3', async t => {
  const env = await conf(t, '')
  const directory = env['NIX_CONF_DIR']!
  const file = join(directory, 'web.yml')
  await writeFile(
    file,
    'tls_server_config: { cert_file: nowhere.pem, key_file: nowhere.key }\n',
  )
  t.match(await run(['run', '--web.config.file', file, '--listen', '127.0.0.1:0'], env), {
    code: 78,
    stderr: `builder-monitor: ${file}:1: cert_file ${directory}/nowhere.pem does not exist\nbuilder-monitor: ${file}:1: key_file ${directory}/nowhere.key does not exist\n`,
  })
  t.match(await run(['run', '--web.config.file', '/nonexistent'], env), {
    code: 78,
    stderr: 'builder-monitor: /nonexistent: does not exist\n',
  })
  t.match(await run(['run', '--listen', 'nonsense'], env), {
    code: 3,
    stderr: /--listen nonsense is neither host:port nor unix:\/path/,
  })
  t.match(await run(['run', '--web-config-file', file], env), {
    code: 3,
    stderr: /did you mean --web\.config\.file\?/,
  })
})

t.test('run sends the reason to systemd when it cannot start', async t => {
  const env = await conf(t, '')
  const directory = env['NIX_CONF_DIR']!
  // Replaces systemd-notify, which not every machine has
  await mkdir(join(directory, 'bin'))
  const statusFile = join(directory, 'status')
  await writeFile(
    join(directory, 'bin', 'systemd-notify'),
    `#!/bin/sh\necho "$1" >>${statusFile}\n`,
    { mode: 0o755 },
  )
  const notified = {
    ...env,
    PATH: `${directory}/bin:/bin`,
    NOTIFY_SOCKET: '/nonexistent',
  }
  const statusOf = async (...args: string[]) => {
    await writeFile(statusFile, '')
    const { code } = await run(['run', ...args], notified)
    return [code, await readFile(statusFile, 'utf8')]
  }
  t.same(await statusOf('--web.config.file', '/nonexistent'), [
    78,
    'STATUS=/nonexistent: does not exist\n',
  ])
  const occupied = createServer()
  await new Promise<void>(resolve => occupied.listen(0, '127.0.0.1', resolve))
  t.teardown(() => occupied.close())
  const address = `127.0.0.1:${(occupied.address() as AddressInfo).port}`
  const [code, status] = await statusOf('--listen', address)
  t.equal(code, 1)
  t.match(status, `STATUS=cannot listen on ${address}: the address is in use`)
})

t.test('config check prints all errors of a web configuration file', async t => {
  const file = join(await scratch(t), 'web.yml')
  await writeFile(file, 'http_server_config: { http2: true }\n')
  const check = () => run(['config', 'check', '--web.config.file', file])
  t.match(await check(), {
    code: 0,
    stdout: `${file}: OK\n`,
    stderr: `${file}:1: http2 is accepted but not offered: HTTP/1.1 is served (warning)\n`,
  })
  await writeFile(file, 'basic_auth_users: { a: b }\nrate_limit: { brust: 1 }\n')
  t.match(await check(), {
    code: 1,
    stderr: `${file}:1: the password of a is not a bcrypt hash; create one with: htpasswd -nBC 10 ""\n${file}:2: unknown key rate_limit.brust, did you mean burst?\n`,
  })
})
