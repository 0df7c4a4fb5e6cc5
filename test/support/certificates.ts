/** Certificates for tests, made once by certificates/make.sh. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/**
 * `server` and `renewed` are valid for localhost and 127.0.0.1, `expired` no longer, `future` not yet; `client` is
 * signed by `ca`, `untrusted` by `other-ca`. `encrypted.key` is the key of `server` with a passphrase.
 */
export const certificatePath = (file: string): string =>
  fileURLToPath(new URL(`certificates/${file}`, import.meta.url))

export const certificate = (file: string): string =>
  readFileSync(certificatePath(file), 'utf8')
