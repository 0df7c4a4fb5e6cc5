import { StringDecoder } from 'node:string_decoder'

/** Creates a decoder for chunks of UTF-8 text: a character that is split between two chunks stays one character. */
export const createUtf8Decoder = (): ((chunk: Buffer) => string) => {
  const decoder = new StringDecoder('utf8')
  return chunk => decoder.write(chunk)
}
