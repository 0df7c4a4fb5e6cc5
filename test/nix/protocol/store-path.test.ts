import { createHash } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { instantiate } from '../../../src/nix/protocol/derivation.ts'
import {
  base32,
  isStoreName,
  sha256,
  storePath,
} from '../../../src/nix/protocol/store-path.ts'

/** Output of nix-instantiate of 2.8.0, 2.26.3 and 2.34.8. */
const canary = {
  name: 'canary-0001',
  system: 'x86_64-linux',
  builder: '/bin/sh',
  args: ['-c', 'echo $nonce > $out'],
  env: { nonce: '0001', preferLocalBuild: '', allowSubstitutes: '' },
}

t.test('encodes base32', async t => {
  t.equal(base32(sha256('')), '0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73')
  t.equal(base32(Buffer.alloc(20)), '0'.repeat(32))
})

t.test('base32 is the number in base 32, little-endian', async () => {
  const alphabet = '0123456789abcdfghijklmnpqrsvwxyz'
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 64 }), bytes => {
      const number = bytes.reduceRight((sum, byte) => sum * 256n + BigInt(byte), 0n)
      const decoded = [...base32(bytes)].reduce(
        (sum, char) => sum * 32n + BigInt(alphabet.indexOf(char)),
        0n,
      )
      return decoded === number
    }),
  )
})

t.test('a derivation gets the paths that nix-instantiate prints', async t => {
  const drv = instantiate(canary)
  t.equal(drv.outPath, '/nix/store/ivjykdps21cl1shpa911qs5ad37b11m2-canary-0001')
  t.equal(drv.drvPath, '/nix/store/s3p133pwr1wvyyxz5g8gi2sl2m4p8v6g-canary-0001.drv')
  t.match(createHash('sha256').update(drv.aterm).digest('hex'), /^9f9f3d4e.*83f6c2$/)
  t.equal(drv.env['out'], drv.outPath, 'the builder needs $out')
})

t.test('strings are escaped in the ATerm', async t => {
  const drv = instantiate({ ...canary, args: ['"\\\n\r\t$'] })
  t.match(drv.aterm, String.raw`["\"\\\n\r\t$"]`)
})

t.test('computes fixed-output paths', async t => {
  const content = 'c8735cf0e6e14b14665b1822dfdd1d6b99bce9938fbfb88f2abc65f0c02b39b5'
  t.equal(
    storePath({
      type: 'output:out',
      innerHash: sha256(`fixed:out:sha256:${content}:`),
      name: 'fod-0001',
    }),
    '/nix/store/lnyi8qnk4a8hclzilrpdgdk6zk1lypwp-fod-0001',
  )
  t.equal(
    storePath({
      type: 'source',
      innerHash: Buffer.from(content, 'hex'),
      name: 'fod-0001',
    }),
    '/nix/store/y2qv62s9vc7qrm3rlh8g2vrafpky6p9d-fod-0001',
  )
})

t.test('rejects names that Nix rejects', async t => {
  for (const name of ['', 'a/b', 'ä', '.', '..', '.-a', '..-a', 'x'.repeat(212), 'a\n'])
    t.notOk(isStoreName(name), JSON.stringify(name))
  for (const name of ['a', '.a', '...', 'a-1.2+x_y?z=', 'x'.repeat(211)])
    t.ok(isStoreName(name), name)
  t.throws(() => instantiate({ ...canary, name: '../x' }), /cannot be the name/)
})
