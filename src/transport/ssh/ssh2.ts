import type { Duplex } from 'node:stream'
import ssh2, { type ParsedKey, type ServerHostKeyAlgorithm } from 'ssh2'
import type { Connection, Trace } from '../../model/index.ts'
import { authMethods, sequentialAuth } from './auth-methods.ts'
import { corkWrites } from './cork-writes.ts'
import type { HostKeyCheck } from './host-key.ts'
import type { CheckKey, Identity } from './identities.ts'
import { fingerprintOf } from './known-hosts.ts'
import { createConnection } from './ssh2-connection.ts'
import { algorithms } from './algorithms.ts'
import { createTrafficBudget, floodReason, maxGreetingBytes } from './traffic-budget.ts'

/** Stage that a login reached. */
export type LoginStage = 'banner' | 'kex' | 'host_key' | 'auth' | 'ready'

export interface Ssh2Request {
  /** A connected stream; the login takes ownership. */
  readonly stream: Duplex
  readonly user: string
  readonly identities: readonly Identity[]
  readonly agent: string | null
  /** Preferred host key types. */
  readonly preferredTypes: readonly string[]
  readonly verifyHostKey: (blob: string) => HostKeyCheck
  readonly timeouts: { readonly bannerMs: number; readonly totalMs: number }
  readonly keepalive: Keepalive
  readonly signal: AbortSignal
  readonly trace: Trace
}

/** When a connection without an answer is closed: after `countMax` keepalives in vain. */
export interface Keepalive {
  readonly intervalMs: number
  readonly countMax: number
}

/** A connection on which no build depends. */
export const defaultKeepalive: Keepalive = { intervalMs: 15_000, countMax: 3 }

export interface Ssh2Login {
  readonly stage: LoginStage
  readonly connection: Connection | null
  readonly hostKeyCheck: HostKeyCheck | null
  /** The first bytes of the server, at most 512; identify other protocols. */
  readonly firstBytes: string
  /** What the server says before or instead of a login, at most 2000 characters. */
  readonly banner: string
  /** ssh2's error message, or `timeout`, `closed`. */
  readonly error: string | null
  /** The file of the key that the server accepted, or `agent`; null before a login. */
  readonly identity: string | null
  /** Seconds from the start to the end of each completed stage. */
  readonly stageSeconds: Readonly<Partial<Record<'banner' | 'kex' | 'auth', number>>>
}

/** Puts known types first: ssh2 would negotiate ed25519 even if only the RSA key is known, and report a changed key. */
const orderKeyTypes = (preferred: readonly string[]): ServerHostKeyAlgorithm[] => {
  const isPreferred = (type: string) =>
    preferred.includes(type) ||
    (type.startsWith('rsa-sha2') && preferred.includes('ssh-rsa'))
  const known: readonly ServerHostKeyAlgorithm[] = algorithms.serverHostKey
  return [...known.filter(isPreferred), ...known.filter(type => !isPreferred(type))]
}

export const checkKey: CheckKey = key => {
  const parsed = ssh2.utils.parseKey(key)
  if (!(parsed instanceof Error)) {
    // For a file of public keys the result is a list, despite its type
    const firstKey = (Array.isArray(parsed) ? parsed[0] : parsed) as ParsedKey | undefined
    return firstKey?.isPrivateKey() ? null : 'invalid'
  }
  if (/encrypted|passphrase/i.test(parsed.message)) return 'encrypted'
  return /unsupported|unknown/i.test(parsed.message) && key.includes('PRIVATE KEY')
    ? 'unsupported'
    : 'invalid'
}

const maxBanner = 2000

/** Performs one login. Never rejects; the connection is set if the stage is `ready`. */
export const loginWithSsh2 = (request: Ssh2Request): Promise<Ssh2Login> =>
  new Promise(resolve => {
    const { stream, signal } = request
    const budget = createTrafficBudget(what => onClosed(floodReason(what)))
    corkWrites(stream, budget.checkWriteBuffer)
    const started = performance.now()
    const client = new ssh2.Client()
    const stageSeconds: { banner?: number; kex?: number; auth?: number } = {}
    let stage: LoginStage = 'banner'
    let hostKeyCheck: HostKeyCheck | null = null
    let firstBytes = ''
    let banner = ''
    let offered: string | null = null
    let settled = false
    let notifyClosed: (reason: string) => void = () => undefined
    const closed = new Promise<string>(done => (notifyClosed = done))
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
        hostKeyCheck,
        firstBytes,
        banner,
        error,
        identity: stage === 'ready' ? offered : null,
        stageSeconds,
        connection:
          error === null
            ? createConnection({
                client,
                stream,
                closed,
                notifyClosed,
                onChannel: budget.addChannel,
              })
            : null,
      })
    }
    const onAbort = () => settle('timeout')
    // Text before the identification is allowed, but only for a limited time
    const bannerTimer = setTimeout(() => {
      if (stage === 'banner') settle('timeout')
    }, request.timeouts.bannerMs)
    const totalTimer = setTimeout(onAbort, request.timeouts.totalMs)
    signal.addEventListener('abort', onAbort, { once: true })

    // Listens in parallel to ssh2, which reports throttling and other protocols as the same error
    let tail = '\n'
    let greetingBytes = 0
    const tap = (chunk: Buffer) => {
      const text = chunk.toString('latin1')
      firstBytes = (firstBytes + text.slice(0, 512)).slice(0, 512)
      stageSeconds.banner ??= seconds()
      if ((tail + text).includes('\nSSH-')) {
        stage = 'kex'
        stream.off('data', tap)
        request.trace('identification', /^SSH-.*/m.exec(firstBytes)?.[0] ?? '')
      }
      tail = (tail + text).slice(-4)
      greetingBytes += chunk.length
      if (stage === 'banner' && greetingBytes > maxGreetingBytes)
        onClosed('too much text before the identification')
    }
    stream.on('data', tap)
    stream.on('data', (chunk: Buffer) => budget.receive(chunk.length))

    // For the whole life of the client: ssh2 can report an error twice and then close. It does not close after an error
    // or when only the remote's direction of a proxy has ended
    const onClosed = (reason: string) => {
      settle(reason)
      notifyClosed(reason)
      stream.destroy()
    }
    client.on('error', (error: Error) => onClosed(error.message))
    client.on('end', () => onClosed('closed'))
    client.on('close', () => onClosed('closed'))
    client.on('handshake', ({ kex, serverHostKey, cs }) => {
      budget.countKeyExchange()
      request.trace('key exchange', `${kex}, ${serverHostKey}, ${cs.cipher}`)
      if (stage !== 'ready') stage = 'auth'
      stageSeconds.kex ??= seconds()
    })
    client.on('banner', text => {
      banner = (banner + text.slice(0, maxBanner)).slice(0, maxBanner)
      request.trace('server banner', text)
    })
    client.on('ready', () => {
      request.trace('logged in')
      stage = 'ready'
      stageSeconds.auth ??= seconds()
      settle(null)
    })
    try {
      client.connect({
        sock: stream,
        username: request.user,
        authHandler: sequentialAuth(
          authMethods(request, fingerprintOfKey),
          request.trace,
          identity => (offered = identity),
        ),
        algorithms: {
          ...algorithms,
          serverHostKey: orderKeyTypes(request.preferredTypes),
        },
        debug: budget.debug,
        hostVerifier: (key: Buffer) => {
          stage = 'host_key'
          hostKeyCheck = request.verifyHostKey(key.toString('base64'))
          return hostKeyCheck.accepted
        },
        readyTimeout: 0,
        keepaliveInterval: request.keepalive.intervalMs,
        keepaliveCountMax: request.keepalive.countMax,
      })
    } catch (error) {
      settle(error instanceof Error ? error.message : String(error))
    }
  })

/** Returns the type of a private key, for example `ssh-ed25519`; null if ssh2 cannot read it. */
export const typeOfPrivateKey = (key: Buffer): string | null =>
  parseFirstKey(key)?.type ?? null

const fingerprintOfKey = (key: Buffer): string => {
  const parsed = parseFirstKey(key)
  return parsed
    ? `${parsed.type} ${fingerprintOf(parsed.getPublicSSH().toString('base64'))}`
    : ''
}

/** For a file of public keys the result of ssh2 is a list, despite its type. */
const parseFirstKey = (key: Buffer): ParsedKey | null => {
  const parsed = ssh2.utils.parseKey(key)
  const firstKey = (Array.isArray(parsed) ? parsed[0] : parsed) as
    ParsedKey | Error | undefined
  return !firstKey || firstKey instanceof Error ? null : firstKey
}
