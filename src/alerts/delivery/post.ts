import { readFile } from 'node:fs/promises'
import { request as requestHttp, type IncomingMessage } from 'node:http'
import { request as requestHttps, type RequestOptions } from 'node:https'
import { describeErrorCode } from '../../text/error-code.ts'
import { sanitize } from '../../text/sanitize.ts'
import type { Access } from './receivers.ts'

/** The response status and the beginning of the body, or the reason for not getting a response. */
export type PostResult =
  | { readonly status: number; readonly body: string }
  | { readonly status: null; readonly reason: string }

/** Whether the receiver accepted the request. */
export const isDelivered = ({ status }: PostResult): boolean =>
  status !== null && status >= 200 && status < 300

export interface PostRequest {
  readonly url: string
  readonly access: Access
  readonly body: string
  readonly signal: AbortSignal
}

/** POSTs JSON. Never rejects, does not follow redirects, ends within ten seconds, reads at most 4 KiB of the response. */
export type Post = (request: PostRequest) => Promise<PostResult>

export const postTimeoutMs = 10_000
const maxResponseBytes = 4096
/** After the status arrived: time for reading the body. */
const responseBodyMs = 1000
const maxSecretBytes = 64 * 1024

export const post: Post = async request => {
  const { signal } = request
  const deadline = new AbortController()
  const stop = () => deadline.abort(new Error('builder-monitor is stopping'))
  const timeoutError = new Error(`no response within ${postTimeoutMs / 1000} s`)
  const timer = setTimeout(() => deadline.abort(timeoutError), postTimeoutMs)
  signal.addEventListener('abort', stop)
  if (signal.aborted) stop()
  try {
    return await sendRequest(request, deadline.signal)
  } catch (error) {
    return {
      status: null,
      reason: describeError(deadline.signal.aborted ? deadline.signal.reason : error),
    }
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', stop)
  }
}

const sendRequest = async (
  { url, access, body }: PostRequest,
  signal: AbortSignal,
): Promise<PostResult> => {
  const bytes = Buffer.from(body)
  const options: RequestOptions = {
    method: 'POST',
    agent: false,
    signal,
    maxHeaderSize: 16 * 1024,
    headers: {
      'content-type': 'application/json',
      'content-length': bytes.length,
      'user-agent': 'builder-monitor',
      ...(await authorization(access)),
    },
    ...(access.caFile === undefined ? {} : { ca: await readSmallFile(access.caFile) }),
  }
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const start = new URL(url).protocol === 'https:' ? requestHttps : requestHttp
    const outgoing = start(url, options, resolve)
    outgoing.on('error', reject)
    outgoing.end(bytes)
  })
  return {
    status: response.statusCode ?? 0,
    body: sanitize(await readBeginning(response), 300),
  }
}

/** Reads the first bytes of the body, ignoring errors in the rest. Never rejects. */
const readBeginning = (response: IncomingMessage): Promise<Buffer> =>
  new Promise(resolve => {
    const chunks: Buffer[] = []
    let length = 0
    const finish = () => {
      clearTimeout(timer)
      response.destroy()
      resolve(Buffer.concat(chunks).subarray(0, maxResponseBytes))
    }
    const timer = setTimeout(finish, responseBodyMs)
    response.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      length += chunk.length
      if (length >= maxResponseBytes) finish()
    })
    response.on('end', finish)
    response.on('close', finish)
    response.on('error', finish)
  })

const authorization = async ({
  username,
  passwordFile,
  tokenFile,
}: Access): Promise<{ readonly authorization?: string }> => {
  if (tokenFile !== undefined)
    return { authorization: `Bearer ${await readSecret(tokenFile)}` }
  if (passwordFile === undefined) return {}
  const pair = `${username ?? ''}:${await readSecret(passwordFile)}`
  return { authorization: `Basic ${Buffer.from(pair).toString('base64')}` }
}

/** Reads a file with one line of text. Rejects with a message that does not contain the text. */
export const readSecret = async (path: string): Promise<string> => {
  const secret = (await readSmallFile(path)).toString().replace(/\r?\n$/, '')
  if (/[^\x20-\x7e\u00a0-\uffff]/.test(secret) || secret === '')
    throw new Error(`${path} must contain exactly one line of text`)
  return secret
}

const readSmallFile = async (path: string): Promise<Buffer> => {
  const content = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    throw new Error(
      `${path} is not readable (${describeErrorCode(error.code ?? 'unknown')})`,
    )
  })
  if (content.length > maxSecretBytes) throw new Error(`${path} is larger than 64 KiB`)
  return content
}

const describeError = (error: unknown): string => {
  const { code, message } = error as NodeJS.ErrnoException
  return sanitize(code && !message.includes(code) ? `${code}: ${message}` : message, 300)
}
