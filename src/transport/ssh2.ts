import type { Duplex } from 'node:stream'
import ssh2, {
  type AuthenticationType,
  type ClientChannel,
  type ServerHostKeyAlgorithm,
} from 'ssh2'
import type { Channel, Connection } from '../model.ts'
import { createGate } from './gate.ts'
import type { HostKeyVerdict } from './host-key.ts'
import type { CheckKey, Identity } from './identities.ts'

/** How far a login came before it ended. */
export type LoginStage = 'banner' | 'kex' | 'host_key' | 'auth' | 'ready'

export interface Ssh2Request {
  /** A connected stream; the login owns it from now on. */
  readonly stream: Duplex
  readonly user: string
  readonly identities: readonly Identity[]
  readonly agent: string | null
  /** Key types to ask the server for first. */
  readonly preferredTypes: readonly string[]
  readonly judge: (blob: string) => HostKeyVerdict
  readonly timeouts: { readonly bannerMs: number; readonly totalMs: number }
  readonly signal: AbortSignal
}

export interface Ssh2Login {
  readonly stage: LoginStage
  readonly connection: Connection | null
  readonly verdict: HostKeyVerdict | null
  /** What the server sent first, at most 512 bytes, for telling what it is. */
  readonly firstBytes: string
  /** ssh2's words, or `timeout`, `closed`. */
  readonly error: string | null
  /** Seconds from the start to the end of each stage that was reached. */
  readonly at: Readonly<Partial<Record<'banner' | 'kex' | 'auth', number>>>
}

const keyTypes: readonly ServerHostKeyAlgorithm[] = [
  'ssh-ed25519',
  'ecdsa-sha2-nistp256',
  'ecdsa-sha2-nistp384',
  'ecdsa-sha2-nistp521',
  'rsa-sha2-512',
  'rsa-sha2-256',
]

/** Known types first: ssh2 would take ed25519 even where only the RSA key is known, and call a good host changed. */
const orderKeyTypes = (preferred: readonly string[]): ServerHostKeyAlgorithm[] => {
  const isPreferred = (type: string) =>
    preferred.includes(type) ||
    (type.startsWith('rsa-sha2') && preferred.includes('ssh-rsa'))
  return [...keyTypes.filter(isPreferred), ...keyTypes.filter(type => !isPreferred(type))]
}

export const checkKey: CheckKey = key => {
  const parsed = ssh2.utils.parseKey(key)
  if (!(parsed instanceof Error)) {
    const one = Array.isArray(parsed) ? parsed[0] : parsed
    return one?.isPrivateKey() ? null : 'invalid'
  }
  if (/encrypted|passphrase/i.test(parsed.message)) return 'encrypted'
  return /unsupported|unknown/i.test(parsed.message) && key.includes('PRIVATE KEY')
    ? 'unsupported'
    : 'invalid'
}

/** One fresh login. Never rejects and never throws; the connection is there when the stage is `ready`. */
export const loginWithSsh2 = (request: Ssh2Request): Promise<Ssh2Login> =>
  new Promise(resolve => {
    const { stream, signal } = request
    const started = performance.now()
    const client = new ssh2.Client()
    const at: { banner?: number; kex?: number; auth?: number } = {}
    let stage: LoginStage = 'banner'
    let verdict: HostKeyVerdict | null = null
    let firstBytes = ''
    let settled = false
    let gone: (reason: string) => void = () => undefined
    const closed = new Promise<string>(done => (gone = done))
    const seconds = () => (performance.now() - started) / 1000

    const settle = (error: string | null) => {
      if (settled) return
      settled = true
      clearTimeout(bannerTimer)
      clearTimeout(totalTimer)
      signal.removeEventListener('abort', onAbort)
      stream.off('data', tap)
      if (error !== null) {
        client.destroy()
        stream.destroy()
      }
      resolve({
        stage,
        verdict,
        firstBytes,
        error,
        at,
        connection: error === null ? connectionOf(client, closed) : null,
      })
    }
    const onAbort = () => settle('timeout')
    const bannerTimer = setTimeout(() => {
      if (!firstBytes) settle('timeout')
    }, request.timeouts.bannerMs)
    const totalTimer = setTimeout(onAbort, request.timeouts.totalMs)
    signal.addEventListener('abort', onAbort, { once: true })

    // Listens beside ssh2, which reports throttling and strangers as one and the same protocol error
    const tap = (chunk: Buffer) => {
      if (firstBytes.length < 512) firstBytes += chunk.toString('latin1').slice(0, 512)
      at.banner ??= seconds()
      if (firstBytes.length >= 512 || firstBytes.startsWith('SSH-')) {
        stream.off('data', tap)
        if (firstBytes.startsWith('SSH-')) stage = 'kex'
      }
    }
    stream.on('data', tap)

    // For the whole life of the client: ssh2 may report an error twice and then close
    client.on('error', (error: Error) => {
      settle(error.message)
      gone(error.message)
    })
    client.on('close', () => {
      settle('closed')
      gone('closed')
    })
    client.on('handshake', () => {
      stage = 'auth'
      at.kex ??= seconds()
    })
    client.on('ready', () => {
      stage = 'ready'
      at.auth ??= seconds()
      settle(null)
    })
    try {
      client.connect({
        sock: stream as never,
        username: request.user,
        authHandler: authMethods(request) as never,
        algorithms: { serverHostKey: orderKeyTypes(request.preferredTypes) },
        hostVerifier: (key: Buffer) => {
          stage = 'host_key'
          verdict = request.judge(key.toString('base64'))
          return verdict.accepted
        },
        readyTimeout: 0,
        keepaliveInterval: 15_000,
        keepaliveCountMax: 3,
      })
    } catch (error) {
      settle(error instanceof Error ? error.message : String(error))
    }
  })

/** The keys in ssh's order: agent first unless told otherwise, then the files. */
const authMethods = (request: Ssh2Request): object[] => [
  ...request.identities.map(({ key }) => ({
    type: 'publickey' as AuthenticationType,
    username: request.user,
    key,
  })),
  ...(request.agent
    ? [
        {
          type: 'agent' as AuthenticationType,
          username: request.user,
          agent: request.agent,
        },
      ]
    : []),
]

const connectionOf = (client: ssh2.Client, closed: Promise<string>): Connection => {
  const gate = createGate(2)
  return {
    closed,
    close: () => client.destroy(),
    open: async (command, signal) => {
      const leave = await gate.enter(signal)
      try {
        const stream = await exec(client, command, signal)
        return channelOf(stream, leave)
      } catch (error) {
        leave()
        throw error
      }
    },
  }
}

const exec = (
  client: ssh2.Client,
  command: string,
  signal: AbortSignal,
): Promise<ClientChannel> =>
  new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason as Error)
    if (signal.aborted) return onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    const lost = () => reject(new Error('the connection is closed'))
    client.once('close', lost)
    const finish = () => {
      signal.removeEventListener('abort', onAbort)
      client.off('close', lost)
    }
    try {
      // throws where the client is closed already
      client.exec(command, (error, stream) => {
        finish()
        if (error) reject(error)
        else if (signal.aborted) stream.close()
        else resolve(stream)
      })
    } catch (error) {
      finish()
      reject(error instanceof Error ? error : new Error(String(error)))
    }
  })

const channelOf = (stream: ClientChannel, leave: () => void): Channel => {
  stream.on('error', () => undefined)
  stream.stderr.on('error', () => undefined)
  let code: number | null = null
  let name: string | null = null
  stream.on('exit', (exitCode: number | null, exitSignal?: string) => {
    code = exitCode
    name = exitSignal ?? null
  })
  const exit = new Promise<{ code: number | null; signal: string | null }>(resolve => {
    stream.on('close', () => {
      leave()
      resolve({ code, signal: name })
    })
  })
  return {
    stdin: stream,
    stdout: stream,
    stderr: stream.stderr,
    exit,
    close: () => {
      stream.close()
      stream.destroy()
      leave()
    },
  }
}
