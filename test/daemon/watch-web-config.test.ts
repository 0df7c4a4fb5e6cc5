/** A web configuration file and its certificates that change under the daemon. Real files. */
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { loadWebConfig } from '../../src/config/web/web-config.ts'
import type { Log } from '../../src/log/log.ts'
import { watchWebConfig } from '../../src/daemon/watch-web-config.ts'
import { certificate, certificatePath } from '../support/certificates.ts'

const text = 'tls_server_config: { cert_file: server.pem, key_file: server.key }\n'

const start = async (t: Test, intervalMs = 20) => {
  const directory = await mkdtemp(join(tmpdir(), 'web-watch-'))
  const at = (file: string) => join(directory, file)
  const put = (from: string, to: string) => copyFile(certificatePath(from), at(to))
  await put('server.pem', 'server.pem')
  await put('server.key', 'server.key')
  await writeFile(at('web.yml'), text)
  const load = () => loadWebConfig(at('web.yml'))
  const first = await load()
  if (!first.ok) throw new Error(first.errors.join())
  const said: string[] = []
  const say = (fields: object, message: string) =>
    void said.push(`${message} ${JSON.stringify(fields)}`)
  const log: Log = { debug: say, info: say, warn: say, error: say, child: () => log }
  const faults: (readonly string[])[] = []
  const onRead = (found: readonly string[]) => void faults.push(found)
  const watch = watchWebConfig({ first, load, log, onRead, intervalMs })
  t.teardown(async () => {
    watch.stop()
    await rm(directory, { recursive: true, force: true })
  })
  const cert = () => watch.access().tls?.context.cert
  return { at, put, watch, said, faults, cert }
}
const until = async (isSo: () => boolean) => {
  while (!isSo()) await new Promise(resolve => setTimeout(resolve, 5))
}

t.test('a renewed certificate is taken once its key fits', async t => {
  const { put, watch, said, faults, cert } = await start(t)
  await until(() => faults.length > 0)
  const before = watch.access()
  await put('renewed.pem', 'server.pem')
  await until(() => faults.at(-1)!.length > 0)
  t.match(faults.at(-1), [/:1: the key does not belong to the certificate$/])
  t.equal(watch.access(), before, 'the old one stays')
  t.equal(said.filter(one => /the previous one stays/.test(one)).length, 1, 'said once')
  await put('renewed.key', 'server.key')
  await until(() => faults.at(-1)!.length === 0)
  t.equal(cert(), certificate('renewed.pem'))
  t.ok(said.some(one => one.startsWith('web configuration changed')))
  t.notMatch(said.join(), /PRIVATE KEY/)
})

t.test('what is written in two steps is taken in one', async t => {
  const everyMs = 800
  const { put, faults, cert } = await start(t, everyMs)
  for (const name of ['renewed', 'server', 'renewed']) {
    await until(() => faults.length > 0)
    // A look was just now; the next one shall fall between the two steps
    await new Promise(resolve => setTimeout(resolve, everyMs * 0.6))
    const before = faults.length
    const from = Date.now()
    await put(`${name}.pem`, 'server.pem')
    // Too short for two looks
    await new Promise(resolve => setTimeout(resolve, everyMs * 0.7))
    await put(`${name}.key`, 'server.key')
    const took = Date.now() - from
    await until(() => cert() === certificate(`${name}.pem`))
    if (took < everyMs) t.same(faults.slice(before).flat(), [])
  }
})

t.test('a bad file keeps the old one, reload tells why', async t => {
  const { at, watch, faults } = await start(t, 60_000)
  const before = watch.access()
  t.same(await watch.reload(), [])
  t.equal(watch.access(), before, 'the same is the same')
  await writeFile(at('web.yml'), 'basic_auth_user: {}\n')
  t.same(await watch.reload(), [
    `${at('web.yml')}:1: there is no basic_auth_user, did you mean basic_auth_users?`,
  ])
  t.equal(watch.access(), before)
  await rm(at('web.yml'))
  t.match(await watch.reload(), [/web\.yml: does not exist$/])
  await writeFile(at('web.yml'), 'basic_auth_users:\n')
  t.same(await watch.reload(), [])
  t.equal(watch.access().tls, null)
  t.same(
    faults.map(found => found.length),
    [0, 1, 1, 0],
  )
})

t.test('a new file that is named is followed, too', async t => {
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

t.test('an expired certificate is told at start', async t => {
  const { put, watch, said } = await start(t, 60_000)
  t.same(said, [])
  await put('expired.pem', 'server.pem')
  await put('expired.key', 'server.key')
  t.same(await watch.reload(), [], 'and served')
  t.match(
    said.join(),
    /"warning":"[^"]*web\.yml:1: the certificate expired on 2020-02-01/,
  )
  t.equal(watch.access().tls?.context.cert, certificate('expired.pem'))
})
