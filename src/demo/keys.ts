import ssh2 from 'ssh2'

export interface KeyPair {
  /** OpenSSH private key file. */
  readonly private: string
  /** `ssh-ed25519 AAAA... comment` */
  readonly public: string
}

/** Generates an ed25519 key within a few milliseconds. */
export const generateKey = (comment: string): KeyPair => {
  for (;;) {
    const pair = ssh2.utils.generateKeyPairSync('ed25519', { comment })
    if (isValidKeyPair(pair)) return pair
  }
}

/** Returns whether a key pair works. About one in several hundred that ssh2 1.17 generates is malformed. */
const isValidKeyPair = (pair: KeyPair): boolean => {
  const [privateKey, publicKey] = [
    ssh2.utils.parseKey(pair.private),
    ssh2.utils.parseKey(pair.public),
  ]
  if (privateKey instanceof Error || publicKey instanceof Error) return false
  const sample = Buffer.from('sample')
  const signature = privateKey.sign(sample)
  return Buffer.isBuffer(signature) && publicKey.verify(sample, signature) === true
}
