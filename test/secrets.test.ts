/**
 * Plants secrets of every kind in files and the environment, runs a daemon at level debug and every command, and searches
 * all output for them. Logins fail early without an ssh program.
 */
import { execFile, spawn } from 'node:child_process'
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { ServerChannel } from 'ssh2'
import t from 'tap'
import { demoBuilders } from '../src/demo/demo-builder.ts'
import { serveWorkerProtocol } from '../src/demo/worker-server.ts'
import { clientKey, has, sshServer } from './transport/ssh/support.ts'

t.setTimeout(120_000)

const main = fileURLToPath(new URL('../dist/main.js', import.meta.url))
const directory = mkdtempSync(join(tmpdir(), 'secrets-test-'))
t.teardown(() => rmSync(directory, { recursive: true, force: true }))
const file = (name: string, text: string, mode = 0o600): string => {
  const path = join(directory, name)
  writeFileSync(path, text, { mode })
  chmodSync(path, mode)
  return path
}

/** Planted secrets. Each value names its place. */
const plants = {
  keyBody: clientKey.private.split('\n')[3]!,
  awsKey: 'planted-aws-env',
  passphrase: 'planted-passphrase',
  accessToken: 'planted-access-token',
  brokenToken: 'planted-broken-token',
  sshOpts: 'planted-in-nix-sshopts',
  proxy: 'planted-in-proxycommand',
  urlPassword: 'planted-url-password',
  urlParameter: 'planted-url-parameter',
  basicAuth: 'planted-basic-auth',
  malformed: 'planted-in-a-malformed-line',
  daemonEnv: 'planted-in-any-env',
}

/** Writes a program of a fake Nix, which reads its settings from files and whose builds fail. */
const fakeNix = (name: string, script: string) =>
  file(`bin/${name}`, `#!/bin/sh\n${script}\n`, 0o755)

const actAsNix = (channel: ServerChannel, command: string) => {
  const over = (code: number) => {
    channel.exit(code)
    channel.end()
  }
  if (command !== 'nix-daemon --stdio') return over(127)
  serveWorkerProtocol({ stdout: channel, stdin: channel }, demoBuilders[0]!, {
    signal: new AbortController().signal,
  }).then(
    () => over(0),
    () => over(1),
  )
}

const setUp = async () => {
  mkdirSync(join(directory, 'bin'))
  fakeNix(
    'nix',
    'case "$*" in *--version*) echo "nix (Nix) 2.31.0";; *) echo "error: no settings" >&2; exit 1;; esac',
  )
  fakeNix('nix-store', 'exit 0')
  fakeNix(
    'nix-build',
    `echo '@nix {"action":"msg","level":0,"msg":"error: the marker of a failed build"}' >&2; exit 1`,
  )
  const { port } = await sshServer(t, { exec: actAsNix })
  const key = file('id', clientKey.private)
  const ssh = file(
    'ssh_config',
    `Host proxied\n  ProxyCommand sh -c 'exit 3' --token ${plants.proxy}\nHost *\n  StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null\n`,
  )
  file(
    'machines',
    [
      `ssh-ng://nix@127.0.0.1:${port} x86_64-linux ${key} 2`,
      `ssh-ng://nix:${plants.urlPassword}@127.0.0.1:${port}?token=${plants.urlParameter} x86_64-linux ${key} 2`,
      `ssh://proxied x86_64-linux ${key}`,
      `https://user:${plants.basicAuth}@cache.invalid x86_64-linux`,
    ].join('\n'),
  )
  file(
    'nix.conf',
    `builders = @${directory}/machines\naccess-tokens = a.b=x c.d=${plants.accessToken}\n`,
  )
  const env = {
    PATH: `${join(directory, 'bin')}:${process.env['PATH'] ?? ''}`,
    HOME: directory,
    NIX_CONF_DIR: directory,
    NIX_USER_CONF_FILES: '',
    NIX_CONFIG: `access-tokens = e.f=${plants.accessToken}`,
    NIX_SSHOPTS: `-F ${ssh} -oSetEnv=API_TOKEN=${plants.sshOpts}`,
    AWS_SECRET_ACCESS_KEY: plants.awsKey,
    SSH_KEY_PASSPHRASE: plants.passphrase,
    SOMETHING: plants.daemonEnv,
    RUNTIME_DIRECTORY: directory,
    STATE_DIRECTORY: directory,
  }
  return { env, port }
}

const command = (
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<string> =>
  new Promise(resolve =>
    execFile(
      process.execPath,
      [main, ...args],
      { env, maxBuffer: 1 << 26 },
      (_, out, err) => resolve(`${out}${err}`),
    ),
  )

/** Returns the first chunk of an endless stream. */
const firstChunkOf = async (url: string): Promise<string> => {
  const response = await fetch(url)
  for await (const chunk of response.body ?? [])
    return Buffer.from(chunk as Uint8Array).toString()
  return ''
}

const find = (where: string, text: string): string[] =>
  Object.entries(plants).flatMap(([name, plant]) =>
    text.includes(plant) || text.includes(encodeURIComponent(plant))
      ? [
          `${name} in ${where}: ${text.slice(Math.max(0, text.indexOf(plant) - 80), text.indexOf(plant) + 40)}`,
        ]
      : [],
  )

t.test('no output contains a planted secret', async t => {
  const { env } = await setUp()
  const outputs = new Map<string, string>()
  const record = (name: string, text: string) => outputs.set(name, text)

  const daemon = spawn(
    process.execPath,
    [main, 'run', '--listen', '127.0.0.1:0', '--log-level', 'debug'],
    { env, stdio: ['ignore', 'pipe', 'pipe'] },
  )
  t.teardown(() => daemon.kill('SIGKILL'))
  let log = ''
  for (const stream of [daemon.stdout, daemon.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (log += text))
  const until = async (what: string, isSo: () => boolean | Promise<boolean>) => {
    for (let i = 0; !(await isSo()); i++) {
      if (i > 400) throw new Error(`${what} does not come: ${log}`)
      await sleep(100)
    }
  }
  await until('the start', () => log.includes('"msg":"started"'))
  const address = /"addresses":\["([^"]+)"/.exec(log)?.[1] ?? ''
  const get = async (path: string) => (await fetch(`http://${address}${path}`)).text()
  const names = (
    JSON.parse(await get('/api/v1/builders')) as { builders: { name: string }[] }
  ).builders.map(({ name }) => name)
  t.equal(names.length, 4)
  const pageOf = (name: string) => `/builders/${encodeURIComponent(name)}`
  await until('every probe', async () => {
    const pages = await Promise.all(
      names.slice(0, 2).map(name => get(`${pageOf(name)}?debug`)),
    )
    return pages.every(page => /### canary/.test(page) || !has('ssh'))
  })

  // A line that Nix rejects, with a secret in it, read by the running daemon
  writeFileSync(
    join(directory, 'nix.conf'),
    `builders = @${directory}/machines ; ssh-ng://u:${plants.malformed}@h x86_64-linux - many\naccess-tokens g.h=${plants.brokenToken}\n`,
  )
  const reloaded = await fetch(`http://${address}/-/reload`, { method: 'POST' })
  t.equal(reloaded.status, 200)

  for (const path of [
    '/',
    '/metrics',
    '/config',
    '/api/v1/builders',
    ...names.map(pageOf),
  ])
    record(path, await get(path))
  record('/api/v1/events', await firstChunkOf(`http://${address}/api/v1/events`))
  for (const name of names) record(`${name}?debug`, await get(`${pageOf(name)}?debug`))
  for (const args of [
    ['status', '--json'],
    ['status'],
    ['builders', '--json'],
    ['builders'],
    ['check', '--debug', '--json', '--canary', '--features'],
    ['check', '--debug'],
    ['config', 'check'],
  ])
    record(args.join(' '), await command(args, env))
  daemon.kill('SIGTERM')
  await new Promise(resolve => daemon.once('close', resolve))
  record('log', log)
  record('state.json', readFileSync(join(directory, 'state.json'), 'utf8'))

  // The outputs contain other expected text, so the search is not empty
  t.match(outputs.get('builders --json'), 'nix:***@127.0.0.1')
  t.match(outputs.get('log'), /'many'.*error in the builders list/)
  t.match(outputs.get('/api/v1/events'), 'event: ')
  t.match(outputs.get('log'), '"msg":"attempt"')
  t.match(outputs.get('state.json'), '"login"')
  if (has('ssh')) {
    const debug = outputs.get('check --debug --json --canary --features') ?? ''
    t.match(debug, '-o SetEnv=...')
    t.match(debug, 'uses a ProxyCommand')
    t.match(debug, /environment:.* AWS_SECRET_ACCESS_KEY /)
    t.match(debug, 'the marker of a failed build')
    t.match(debug, /offer: .*SHA256:/)
  }
  t.same(
    [...outputs].flatMap(([where, text]) => find(where, text)),
    [],
  )
})
