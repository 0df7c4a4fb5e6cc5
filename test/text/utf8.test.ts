import t from 'tap'
import { createUtf8Decoder } from '../../src/text/utf8.ts'

t.test('keeps a character that is split between chunks', async t => {
  const decode = createUtf8Decoder()
  const bytes = Buffer.from('größe')
  const text = [...bytes].map(byte => decode(Buffer.of(byte))).join('')
  t.equal(text, 'größe')
})
