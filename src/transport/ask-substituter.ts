import { request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import type { AskSubstituter, SubstituterAnswer } from '../model/index.ts'

/** Errors of the network. After any other one, a TLS error for example, something answers there. */
const networkErrors: ReadonlySet<string> = new Set([
  'EAI_AGAIN',
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'ETIMEDOUT',
])

/**
 * Asks a binary cache for `nix-cache-info`, the first request of each Nix that uses it (http-binary-cache-store.cc init).
 * Any response counts: the question is whether Nix would wait. Sends no credentials, reads no body.
 */
export const askSubstituter: AskSubstituter = (url, timeoutMs, signal) =>
  new Promise(resolve => {
    const target = new URL(`${url.pathname.replace(/\/$/, '')}/nix-cache-info`, url)
    target.username = ''
    target.password = ''
    const start = target.protocol === 'https:' ? requestHttps : requestHttp
    let isConnected = false
    const startedAt = performance.now()
    const request = start(target, {
      agent: false,
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
      maxHeaderSize: 16 * 1024,
      headers: { 'user-agent': 'builder-monitor' },
    })
    const end = (answer: SubstituterAnswer) => {
      resolve(answer)
      request.destroy()
    }
    request.on('socket', socket => socket.once('connect', () => (isConnected = true)))
    request.on('response', () => end({ status: 'answers' }))
    request.on('error', (error: NodeJS.ErrnoException) => {
      const { code = '', name } = error
      if (name === 'AbortError' || name === 'TimeoutError' || code === 'ETIMEDOUT')
        end({ status: 'hangs', isConnected })
      else if (networkErrors.has(code))
        end({
          status: 'fails',
          code,
          seconds: (performance.now() - startedAt) / 1000,
        })
      else end({ status: 'answers' })
    })
    request.end()
  })
