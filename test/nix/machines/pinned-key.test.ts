import fc from 'fast-check'
import t from 'tap'
import { generateKey } from '../../../src/demo/keys.ts'
import { examinePinnedKey } from '../../../src/nix/machines/pinned-key.ts'

const line = generateKey('host').public
const [type = '', blob = ''] = line.split(' ')
const encode = (text: string): string => Buffer.from(text).toString('base64')
const right = encode(`${type} ${blob}\n`)

t.test('accepts what base64 -w0 of a public key file prints', async t => {
  for (const text of [`${line}\n`, line, `${type} ${blob}`, `${type} ${blob} me\nmore`])
    t.same(examinePinnedKey(encode(text)), { isValid: true }, text)
})

t.test('says what else it is, and the right value where it can be made', async t => {
  const table: readonly (readonly [
    field: string,
    what: RegExp,
    corrected: string | null,
  ])[] = [
    [encode(`b1 ${type} ${blob}\n`), /ssh-keyscan/, right],
    [encode(`b1,10.0.0.1 ${type} ${blob} comment`), /ssh-keyscan/, right],
    [blob, /without its type/, right],
    [encode(blob), /without its type/, right],
    [encode(right), /encoded twice/, right],
    [encode(`@cert-authority * ${type} ${blob}`), /authority/, null],
    [encode('SHA256:abcdef'), /fingerprint/, null],
    [encode('-----BEGIN OPENSSH PRIVATE KEY-----\n'), /private key/, null],
    [encode('/etc/ssh/ssh_host_ed25519_key.pub'), /path of a file/, null],
    [encode(type), /TYPE KEY/, null],
    ['', /TYPE KEY/, null],
  ]
  for (const [field, what, corrected] of table)
    t.match(examinePinnedKey(field), { isValid: false, what, corrected }, `${what}`)
  t.match(examinePinnedKey(encode(`@cert-authority * ${type} ${blob}`)), {
    authority: `@cert-authority * ${type} ${blob}`,
  })
  t.match(examinePinnedKey('A'.repeat(100_000)), { isValid: false, what: /too long/ })
  fc.assert(fc.property(fc.base64String(), field => 'isValid' in examinePinnedKey(field)))
})
