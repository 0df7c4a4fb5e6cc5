/** Web configuration files of exporter-toolkit: supported keys, errors and warnings. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { loadWebConfig } from '../../../src/config/web/web-config.ts'
import { parseYaml } from '../../../src/config/web/yaml.ts'
import { certificate, certificatePath } from '../../support/certificates.ts'

const hash = `$2y$10$${'a'.repeat(53)}`
const now = 1_800_000_000

const scratch = async (t: Test): Promise<string> => {
  const directory = await mkdtemp(join(tmpdir(), 'web-config-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  for (const file of ['server.pem', 'server.key', 'ca.pem', 'renewed.key'])
    await writeFile(join(directory, file), certificate(file))
  return directory
}

/** Loads a file with this text; messages without its directory. */
const read = async (t: Test, text: string, at = now) => {
  const directory = await scratch(t)
  const path = join(directory, 'web.yml')
  await writeFile(path, text)
  const config = await loadWebConfig(path, at)
  const short = (messages: readonly string[]) =>
    messages.map(message => message.replaceAll(`${directory}/`, ''))
  return {
    directory,
    files: short(config.files),
    access: config.ok ? config.access : null,
    warnings: config.ok ? short(config.warnings) : [],
    errors: config.ok ? [] : short(config.errors),
  }
}

const pair = 'cert_file: server.pem\n  key_file: server.key\n'

t.test('an empty file enables nothing', async t => {
  for (const text of ['', '# nothing\n', '---\n', 'basic_auth_users:\n', '{}'])
    t.match(await read(t, text), {
      access: { tls: null, users: new Map(), headers: {}, rateLimit: null },
      errors: [],
      warnings: [],
    })
})

t.test('supports every key of the toolkit', async t => {
  const { access, errors, warnings, files } = await read(
    t,
    `tls_server_config:
  ${pair}  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca.pem
  client_allowed_sans: [scraper.example]
  min_version: TLS12
  max_version: TLS13
  cipher_suites:
    - TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
    - TLS_AES_128_GCM_SHA256
  prefer_server_cipher_suites: no
  curve_preferences: [X25519, CurveP256]
http_server_config:
  http2: false
  headers:
    X-Frame-Options: sameorigin
    X-XSS-Protection: 1
    Strict-Transport-Security: "max-age=31536000; includeSubDomains"
basic_auth_users:
  alice: ${hash}
  on: ${hash.replace('2y', '2a')}
  12: ${hash.replace('2y', '2b')}
rate_limit:
  interval: 1m1.5s
  burst: 20
`,
  )
  t.same([errors, warnings], [[], []])
  t.same(files, ['web.yml', 'server.pem', 'server.key', 'ca.pem'])
  t.same(access?.tls, {
    clientAuth: 'RequireAndVerifyClientCert',
    allowedSans: ['scraper.example'],
    context: {
      cert: certificate('server.pem'),
      key: certificate('server.key'),
      ca: certificate('ca.pem'),
      minVersion: 'TLSv1.2',
      maxVersion: 'TLSv1.3',
      honorCipherOrder: false,
      ciphers:
        'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:ECDHE-ECDSA-AES128-GCM-SHA256',
      ecdhCurve: 'X25519:prime256v1',
    },
  })
  t.same(access?.headers, {
    'x-frame-options': 'sameorigin',
    'x-xss-protection': '1',
    'strict-transport-security': 'max-age=31536000; includeSubDomains',
  })
  t.same([...(access?.users.keys() ?? [])], ['12', 'alice', 'on'])
  t.same(access?.rateLimit, { intervalMs: 61_500, burst: 20 })
})

t.test('accepts inline certificates', async t => {
  const indent = (text: string) => text.replaceAll(/^/gm, '    ')
  const { access, errors } = await read(
    t,
    `tls_server_config:\n  cert: |\n${indent(certificate('server.pem'))}\n  key: |\n${indent(certificate('server.key'))}\n`,
  )
  t.same(errors, [])
  t.equal(access?.tls?.clientAuth, 'NoClientCert')
})

t.test('reports all errors at once, with line and fix', async t => {
  const { errors } = await read(
    t,
    `tls_server_confg: {}
tls_server_config:
  cert_file: nowhere.pem
  key_fil: server.key
  client_auth_type: RequireAndVerifyClientCerts
  min_version: TLS13
  max_version: SSL3
  cipher_suites: [TLS_RSA_WITH_RC4_128_SHA, 7]
  curve_preferences: X25519
  prefer_server_cipher_suites: perhaps
http_server_config:
  headers:
    Server: mine
    X-Frame-Options: allow
basic_auth_users:
  alice: secret-password
rate_limit:
  interval: often
  burst: -1
`,
  )
  t.same(errors, [
    'web.yml:1: unknown key tls_server_confg, did you mean tls_server_config?',
    'web.yml:3: cert_file nowhere.pem does not exist',
    'web.yml:3: tls_server_config needs key_file (or key) to serve TLS',
    'web.yml:4: unknown key tls_server_config.key_fil, did you mean key_file?',
    'web.yml:5: tls_server_config.client_auth_type cannot be RequireAndVerifyClientCerts, did you mean RequireAndVerifyClientCert?',
    'web.yml:7: tls_server_config.max_version cannot be SSL3: one of TLS10, TLS11, TLS12, TLS13',
    'web.yml:8: tls_server_config.cipher_suites cannot be TLS_RSA_WITH_RC4_128_SHA, did you mean TLS_RSA_WITH_AES_128_CBC_SHA?',
    'web.yml:8: tls_server_config.cipher_suites cannot be 7: one of TLS_AES_128_GCM_SHA256, TLS_AES_256_GCM_SHA384, TLS_CHACHA20_POLY1305_SHA256, TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA ...',
    'web.yml:9: tls_server_config.curve_preferences must be a list',
    'web.yml:10: tls_server_config.prefer_server_cipher_suites must be true or false',
    'web.yml:13: unknown key http_server_config.headers.Server',
    'web.yml:14: http_server_config.headers.X-Frame-Options cannot be allow: one of deny, sameorigin',
    'web.yml:16: the password of alice is not a bcrypt hash; create one with: htpasswd -nBC 10 ""',
    'web.yml:18: rate_limit.interval must be a duration such as 1s or 250ms',
    'web.yml:19: rate_limit.burst must be a whole number',
  ])
  t.notMatch(errors.join(), /secret-password/)
})

t.test('rejects values of a wrong type and empty password hashes', async t => {
  const { errors } = await read(
    t,
    `tls_server_config: [cert]
http_server_config:
  http2: [on]
  headers: none
basic_auth_users:
  alice:
  bob: [a]
  __proto__: x
rate_limit: often
`,
  )
  t.same(errors, [
    'web.yml:1: tls_server_config must be a map of keys and values',
    'web.yml:3: http_server_config.http2 must be a string',
    'web.yml:4: http_server_config.headers must be a map of keys and values',
    'web.yml:6: the password of alice is not a bcrypt hash; create one with: htpasswd -nBC 10 ""',
    'web.yml:7: basic_auth_users.bob must be a string',
    'web.yml:7: the password of bob is not a bcrypt hash; create one with: htpasswd -nBC 10 ""',
    'web.yml:8: the password of __proto__ is not a bcrypt hash; create one with: htpasswd -nBC 10 ""',
    'web.yml:9: rate_limit must be a map of keys and values',
  ])
  t.match(
    (await read(t, `tls_server_config:\n  ${pair}  cipher_suites: [[a]]\n`)).errors,
    ['web.yml:4: each of tls_server_config.cipher_suites must be a string'],
  )
})

t.test('rejects certificates that cannot be served', async t => {
  const errorsOf = async (lines: string) =>
    (await read(t, `tls_server_config:\n  ${lines.replaceAll('; ', '\n  ')}\n`)).errors
  t.same(await errorsOf('cert_file: server.pem; key_file: renewed.key'), [
    'web.yml:2: the key does not belong to the certificate',
  ])
  t.same(await errorsOf('cert_file: server.key; key_file: server.key'), [
    'web.yml:2: the certificate is not PEM (-----BEGIN CERTIFICATE-----)',
  ])
  t.same(await errorsOf('cert_file: server.pem; key_file: server.pem'), [
    'web.yml:2: the key is not PEM (-----BEGIN PRIVATE KEY-----)',
  ])
  t.match(
    await errorsOf(
      `cert_file: server.pem; key_file: ${certificatePath('encrypted.key')}`,
    ),
    [/^web\.yml:2: the key is encrypted/],
  )
  t.match(await errorsOf('cert_file: .; key_file: server.key'), [/is a directory$/])
  t.match(await errorsOf('cert_file: server.pem; key_file: /dev/zero'), [
    /is not a regular file$/,
  ])
  t.match(await errorsOf('client_auth_type: RequestClientCert'), [
    /cert_file/,
    /key_file/,
  ])
  const clients = `${pair.trim().replace('\n  ', '; ')}; client_ca_file: `
  t.match(await errorsOf(`${clients}ca.pem`), [/^web\.yml:4: .* is NoClientCert/])
  t.match(await errorsOf(`${clients}server.key; client_auth_type: RequestClientCert`), [
    /contains no certificate/,
  ])
  t.match(await errorsOf(`${pair}; min_version: TLS13; max_version: TLS12`), [
    /min_version TLS13 is newer than max_version TLS12/,
  ])
})

t.test('warns of insecure settings', async t => {
  const warningsOf = async (text: string) => {
    const { errors, warnings } = await read(t, text)
    t.same(errors, [])
    return warnings
  }
  const tls = (lines: string) =>
    warningsOf(`tls_server_config:\n  ${pair}  ${lines.replaceAll('; ', '\n  ')}\n`)
  t.same(await warningsOf('http_server_config: { http2: true }'), [
    'web.yml:1: http2 is accepted but not offered: HTTP/1.1 is served',
  ])
  t.match(await warningsOf('tls_server_config: { min_version: TLS13 }'), [/plain HTTP/])
  t.match(await warningsOf('rate_limit: { interval: 1s }'), [/every request is rejected/])
  t.match(await warningsOf(`basic_auth_users: { a: ${hash.replace('10', '15')} }`), [
    /cost 15 of a takes seconds/,
  ])
  t.match(await tls('min_version: TLS10'), [/TLS10 is insecure/])
  t.match(await tls('client_auth_type: RequireClientCert'), [/any certificate/])
  t.match(await tls('client_auth_type: VerifyClientCertIfGiven'), [/every public CA/])
  t.match(await tls('client_auth_type: RequestClientCert; client_allowed_sans: [a]'), [
    /accepts clients without a certificate/,
  ])
  const old = (file: string) =>
    warningsOf(
      `tls_server_config: { cert_file: ${certificatePath(`${file}.pem`)}, key_file: ${certificatePath(`${file}.key`)} }`,
    )
  t.match(await old('expired'), [
    'web.yml:1: the certificate expired on 2020-02-01 00:00 UTC: clients reject it, renew it',
  ])
  t.match(await old('future'), [/valid only from 2119-01-01 00:00 UTC/])
})

t.test('rejects invalid and too large files', async t => {
  t.match((await read(t, 'a: b: c')).errors, [/^web\.yml:1: not YAML: /])
  t.match((await read(t, '- a\n')).errors, [
    'web.yml:1: the file must be a map of keys and values',
  ])
  t.match((await read(t, 'word\n')).errors, [/must be a map/])
  t.match((await read(t, 'rate_limit: {}\nrate_limit: {}\n')).errors, [
    /^web\.yml:2: .*unique/,
  ])
  t.match((await read(t, `basic_auth_users: { "a:b": ${hash} }`)).errors, [/colon/])
  t.match(
    (await read(t, `basic_auth_users: { a: ${hash.replace('10', '31')} }`)).errors,
    [/cost 31 of a would take minutes/],
  )
  const laughs = Array.from(
    { length: 9 },
    (_, i) => `b${i + 1}: &b${i + 1} [${Array(9).fill(`*b${i}`).join(', ')}]`,
  )
  t.match((await read(t, ['b0: &b0 [x]', ...laughs].join('\n'))).errors, [
    /more than 20000/,
  ])
  t.match((await read(t, `a: ${'['.repeat(3000)}${']'.repeat(3000)}`)).errors, [
    /web\.yml:1: /,
  ])
  const missing = await loadWebConfig('/nonexistent/web.yml')
  t.match(missing, { ok: false, errors: ['/nonexistent/web.yml: does not exist'] })
  const directory = await scratch(t)
  await mkdir(join(directory, 'web.yml'))
  t.match(await loadWebConfig(join(directory, 'web.yml')), { errors: [/is a directory/] })
})

t.test('resolves aliases', async t => {
  const { access, errors } = await read(
    t,
    `basic_auth_users:\n  a: &one ${hash}\n  b: *one\n`,
  )
  t.same(errors, [])
  t.equal(access?.users.get('b'), hash)
})

t.test('never throws', async t => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), text => {
      parseYaml(text)
    }),
    { numRuns: 500 },
  )
  t.pass()
})
