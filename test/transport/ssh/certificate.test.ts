/** Certificates from ssh-keygen, and malformed bytes. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import {
  parseCertificateLine,
  parseCertificate,
  parsePresentedCertificates,
} from '../../../src/transport/ssh/certificate.ts'
import { readUserCertificates } from '../../../src/transport/ssh/user-certificates.ts'
import { createRun } from '../../../src/transport/run.ts'
import { has, never, testWith } from './support.ts'
import { aTarget } from './target.ts'

const keygen = has('ssh-keygen')

/** A CA in a temporary directory, and certificates that it signs. */
const authority = (t: Test) => {
  const directory = mkdtempSync(join(tmpdir(), 'certificate-test-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  const run = (...args: readonly string[]) =>
    execFileSync('ssh-keygen', ['-q', ...args], {
      cwd: directory,
      env: { ...process.env, TZ: 'UTC' },
    })
  run('-t', 'ed25519', '-N', '', '-f', 'ca')
  const key = (name: string, ...type: readonly string[]) => {
    run('-t', ...type, '-N', '', '-f', name)
    return join(directory, name)
  }
  const sign = (path: string, ...options: readonly string[]) => {
    run('-s', 'ca', '-I', 'the lab', ...options, `${path}.pub`)
    return readFileSync(`${path}-cert.pub`, 'utf8')
  }
  return { directory, key, sign }
}

const day = 86_400
const inDays = (days: number) => Math.floor(Date.now() / 1000) + days * day

testWith(keygen, 'parses certificates of every key type', t => {
  const { key, sign } = authority(t)
  const types = [
    ['ed25519'],
    ['rsa', '-b', '2048'],
    ['ecdsa', '-b', '256'],
    ['ecdsa', '-b', '384'],
    ['ecdsa', '-b', '521'],
  ]
  for (const type of types) {
    const line = sign(key(type.join(''), ...type), '-n', 'nix,root', '-V', '-1d:+1d')
    const found = parseCertificateLine(line)
    t.match(found, { role: 'user', keyId: 'the lab' }, type.join(' '))
    t.ok(Math.abs((found?.validUntil ?? 0) - inDays(1)) < 60, 'ends tomorrow')
    t.ok(Math.abs((found?.validFrom ?? 0) - inDays(-1)) < 60)
  }
  return Promise.resolve()
})

testWith(keygen, 'parses unlimited, expired and host certificates', t => {
  const { key, sign } = authority(t)
  const path = key('id', 'ed25519')
  t.match(parseCertificateLine(sign(path, '-n', 'x')), {
    validFrom: null,
    validUntil: null,
  })
  t.match(parseCertificateLine(sign(path, '-n', 'x', '-V', 'always:forever')), {
    validFrom: null,
    validUntil: null,
  })
  t.match(
    parseCertificateLine(
      sign(path, '-n', 'x', '-h', '-V', '20200101000000:20200102000000'),
    ),
    { role: 'host', validFrom: 1_577_836_800, validUntil: 1_577_923_200 },
  )
  return Promise.resolve()
})

testWith(keygen, 'rejects truncated certificates', t => {
  const { key, sign } = authority(t)
  const line = sign(key('id', 'ed25519'), '-n', 'x')
  const blob = Buffer.from(line.split(' ')[1] ?? '', 'base64')
  t.ok(parseCertificate(blob))
  // The needed fields end with the validity; options, keys and the signature follow
  const needed = blob.indexOf('\xff'.repeat(8), 0, 'latin1') + 8
  for (let length = 0; length < needed; length++)
    if (parseCertificate(blob.subarray(0, length))) t.fail(`${length} bytes are enough`)
  t.ok(parseCertificate(blob.subarray(0, needed)))
  return Promise.resolve()
})

t.test('rejects malformed bytes', async t => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), bytes => {
      parseCertificate(Buffer.from(bytes))
      parseCertificate(
        Buffer.concat([
          Buffer.from('\0\0\0\x20ssh-ed25519-cert-v01@openssh.com', 'latin1'),
          Buffer.from(bytes),
        ]),
      )
    }),
  )
  fc.assert(fc.property(fc.string(), text => void parseCertificateLine(text)))
  const start = Buffer.from('\0\0\0\x20ssh-ed25519-cert-v01@openssh.com', 'latin1')
  const huge = Buffer.concat([start, Buffer.from([0xff, 0xff, 0xff, 0xff])])
  t.equal(parseCertificate(huge), null, 'a length beyond the end')
  t.equal(parseCertificate(Buffer.alloc(300_000)), null, 'too long')
  const proto = Buffer.from('\0\0\0\x1fconstructor-cert-v01@openssh.com'.slice(0, 40))
  t.equal(parseCertificate(proto), null)
  t.equal(parseCertificateLine('ssh-ed25519 AAAAC3NzaC1lZDI1NTE5'), null, 'a plain key')
})

t.test('parses host certificates from ssh -v', async t => {
  const parsed = (validity: string) =>
    parsePresentedCertificates(
      [
        'debug1: Server host key: ssh-ed25519-cert-v01@openssh.com SHA256:abc',
        `debug1: Server host certificate: ssh-ed25519-cert-v01@openssh.com SHA256:abc, serial 0 ID "b1" CA ssh-ed25519 SHA256:def valid ${validity}`,
        'debug1: Host is known',
      ].join('\r\n'),
    )
  t.match(parsed('forever'), [{ role: 'host', keyId: 'b1', validUntil: null }])
  t.match(parsed('from 2020-01-01T00:00:00 to 2020-01-02T00:00:00'), [
    { validFrom: 1_577_836_800, validUntil: 1_577_923_200 },
  ])
  t.match(parsed('before 2020-01-02T00:00:00'), [
    { validFrom: null, validUntil: 1_577_923_200 },
  ])
  t.match(parsed('after 2020-01-02T00:00:00'), [
    { validFrom: 1_577_923_200, validUntil: null },
  ])
  t.same(parsed('for a while'), [])
  t.same(parsePresentedCertificates(''), [])
})

testWith(keygen, 'reads the certificates that ssh would offer', async t => {
  const { directory, key, sign } = authority(t)
  const id = key('id', 'ed25519')
  const other = key('other', 'ed25519')
  sign(id, '-n', 'x', '-V', '+1d')
  const host = key('host', 'ed25519')
  sign(host, '-n', 'x', '-h', '-V', '+1d')
  writeFileSync(join(directory, 'broken-cert.pub'), 'ssh-ed25519-cert-v01@openssh.com !')
  const read = (target: Parameters<typeof aTarget>[0], lineKey: string | null = null) =>
    readUserCertificates({
      target: aTarget(target),
      lineKey,
      run: createRun(),
      env: process.env,
      signal: never,
    })
  const adjacent = { role: 'user', source: `${id}-cert.pub` } as const
  t.match(await read({ identityFiles: [other, id] }), [adjacent])
  t.match(await read({ identityFiles: [id] }, id), [adjacent], 'once')
  t.same(await read({ identityFiles: [host, join(directory, 'broken')] }), [])
  renameSync(`${id}-cert.pub`, join(directory, 'elsewhere'))
  const elsewhere = join(directory, 'elsewhere')
  t.match(await read({ certificateFiles: [elsewhere] }), [{ source: elsewhere }])
  t.same(await read({ identityFiles: [id] }), [])
  sign(other, '-n', 'x')
  t.match(
    await read({ certificateFiles: [elsewhere], identityFiles: [other] }),
    [{ source: elsewhere }],
    'CertificateFile replaces the defaults',
  )
})

testWith(
  keygen && has('ssh-agent') && has('ssh-add'),
  'reads the certificates of an agent',
  async t => {
    const { directory, key, sign } = authority(t)
    const id = key('id', 'ed25519')
    sign(id, '-n', 'x', '-V', '+2d')
    const agent = join(directory, 'agent')
    const started = execFileSync('ssh-agent', ['-a', agent, '-s'], { encoding: 'utf8' })
    const pid = Number(/SSH_AGENT_PID=(\d+)/.exec(started)?.[1])
    t.teardown(() => process.kill(pid))
    execFileSync('ssh-add', ['-q', id], { env: { ...process.env, SSH_AUTH_SOCK: agent } })
    const read = (change: Parameters<typeof aTarget>[0]) =>
      readUserCertificates({
        target: aTarget({ agent, ...change }),
        lineKey: null,
        run: createRun(),
        env: process.env,
        signal: never,
      })
    const [found, ...rest] = await read({})
    t.match(found, { role: 'user', source: 'agent' })
    t.ok(Math.abs((found?.validUntil ?? 0) - inDays(2)) < 60)
    t.same(rest, [])
    t.same(await read({ identitiesOnly: true }), [])
    t.same(await read({ agent: join(directory, 'missing') }), [])
  },
)
