/** Changes of a web configuration file and its certificates, with real files. */
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { loadWebConfig } from '../../src/config/web/web-config.ts'
import type { Log } from '../../src/log/log.ts'
import { watchWebConfig } from '../../src/daemon/watch-web-config.ts'
import { certificate, certificatePath } from '../support/certificates.ts'

const text = 'tls_server_config: { cert_file: server.pem, key_file: server.key }\n'

const start = async (t: Test, intervalMs = 20, content = text) => {
  const directory = await mkdtemp(join(tmpdir(), 'web-watch-'))
  const at = (file: string) => join(directory, file)
  const put = (from: string, to: string) => copyFile(certificatePath(from), at(to))
  await put('server.pem', 'server.pem')
  await put('server.key', 'server.key')
  await writeFile(at('web.yml'), content)
  const load = () => loadWebConfig(at('web.yml'))
  const first = await load()
  if (!first.ok) throw new Error(first.errors.join())
  const logged: string[] = []
  const write = (fields: object, message: string) =>
    void logged.push(`${message} ${JSON.stringify(fields)}`)
  const log: Log = {
    debug: write,
    info: write,
    warn: write,
    error: write,
    child: () => log,
  }
  const errors: (readonly string[])[] = []
  const onRead = (found: readonly string[]) => void errors.push(found)
  const watch = watchWebConfig({ first, load, log, onRead, intervalMs })
  t.teardown(async () => {
    watch.stop()
    await rm(directory, { recursive: true, force: true })
  })
  const cert = () => watch.access().tls?.context.cert
  return { at, put, watch, logged, errors, cert }
}
const until = async (isSo: () => boolean) => {
  while (!isSo()) await new Promise(resolve => setTimeout(resolve, 5))
}

t.test('applies a renewed certificate when its key matches', async t => {
  const { put, watch, logged, errors, cert } = await start(t)
  await until(() => errors.length > 0)
  const before = watch.access()
  await put('renewed.pem', 'server.pem')
  await until(() => errors.at(-1)!.length > 0)
  t.match(errors.at(-1), [/:1: the key does not belong to the certificate$/])
  t.equal(watch.access(), before, 'the previous one stays active')
  t.equal(
    logged.filter(line => /the previous one stays/.test(line)).length,
    1,
    'logged once',
  )
  await put('renewed.key', 'server.key')
  await until(() => errors.at(-1)!.length === 0)
  t.equal(cert(), certificate('renewed.pem'))
  t.ok(logged.some(line => line.startsWith('web configuration changed')))
  t.notMatch(logged.join(), /PRIVATE KEY/)
})

t.test('applies a certificate and its key together', async t => {
  const everyMs = 800
  const { put, errors, cert } = await start(t, everyMs)
  for (const name of ['renewed', 'server', 'renewed']) {
    await until(() => errors.length > 0)
    // The next reading must be between the two writes
    await new Promise(resolve => setTimeout(resolve, everyMs * 0.6))
    const before = errors.length
    const from = Date.now()
    await put(`${name}.pem`, 'server.pem')
    // Too short for two readings
    await new Promise(resolve => setTimeout(resolve, everyMs * 0.7))
    await put(`${name}.key`, 'server.key')
    const took = Date.now() - from
    await until(() => cert() === certificate(`${name}.pem`))
    if (took < everyMs) t.same(errors.slice(before).flat(), [])
  }
})

t.test('an invalid file keeps the previous one, reload reports why', async t => {
  const { at, watch, errors } = await start(t, 60_000)
  const before = watch.access()
  t.same(await watch.reload(), [])
  t.equal(watch.access(), before, 'an unchanged file changes nothing')
  await writeFile(at('web.yml'), 'basic_auth_user: {}\n')
  t.same(await watch.reload(), [
    `${at('web.yml')}:1: unknown key basic_auth_user, did you mean basic_auth_users?`,
  ])
  t.equal(watch.access(), before)
  await rm(at('web.yml'))
  t.match(await watch.reload(), [/web\.yml: does not exist$/])
  await writeFile(at('web.yml'), 'basic_auth_users:\n')
  t.same(await watch.reload(), [])
  t.equal(watch.access().tls, null)
  t.same(
    errors.map(found => found.length),
    [0, 1, 1, 0],
  )
})

t.test('an emptied file drops neither passwords nor client certificates', async t => {
  const hash = `$2b$10$${'a'.repeat(53)}`
  const users = `basic_auth_users: { alice: "${hash}" }\n`
  const requires = text.replace(' }', ', client_auth_type: RequireAnyClientCert }')
  const { at, watch, logged } = await start(t, 20, `${requires}${users}`)
  const before = watch.access()
  for (const content of ['', '# later\n', 'basic_auth_users:\n', text]) {
    await writeFile(at('web.yml'), content)
    t.match(
      await watch.reload(),
      [/no passwords any more/, /client certificates/],
      content,
    )
    t.equal(watch.access(), before, 'the previous one stays active')
  }
  await writeFile(at('web.yml'), requires)
  t.match(await watch.reload(), [
    /passwords any more: they stay required until a restart/,
  ])
  await until(() => logged.some(line => line.includes('no passwords any more')))
  await writeFile(at('web.yml'), `${requires}basic_auth_users: { bob: "${hash}" }\n`)
  t.same(await watch.reload(), [])
  t.same([...watch.access().users.keys()], ['bob'])
})

t.test('watches the files of a changed configuration', async t => {
  const { at, put, watch, cert } = await start(t)
  await put('renewed.pem', 'other.pem')
  await put('renewed.key', 'other.key')
  await writeFile(at('web.yml'), text.replaceAll('server.', 'other.'))
  await until(() => cert() === certificate('renewed.pem'))
  await put('server.key', 'other.key')
  await put('server.pem', 'other.pem')
  await until(() => cert() === certificate('server.pem'))
  t.equal(watch.access().tls?.clientAuth, 'NoClientCert')
})

t.test('warns of an expired certificate and serves it', async t => {
  const { put, watch, logged } = await start(t, 60_000)
  t.same(logged, [])
  await put('expired.pem', 'server.pem')
  await put('expired.key', 'server.key')
  t.same(await watch.reload(), [], 'no error')
  t.match(
    logged.join(),
    /"warning":"[^"]*web\.yml:1: the certificate expired on 2020-02-01/,
  )
  t.equal(watch.access().tls?.context.cert, certificate('expired.pem'))
})
