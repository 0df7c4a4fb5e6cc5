/** Real and misbehaving servers on 127.0.0.1, and a dial to them. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import ssh2, { type Connection as ServerConnection, type ServerChannel } from 'ssh2'
import tap, { type Test } from 'tap'
import { generateKey } from '../../../src/demo/keys.ts'
import type { Builder, Clock, Dial } from '../../../src/model/index.ts'
import { createDial } from '../../../src/transport/ssh/dial.ts'
import { createRun } from '../../../src/transport/run.ts'
import type { SshTarget } from '../../../src/transport/ssh/ssh-config.ts'
import { aBuilder } from '../../support/builders.ts'
import { aTarget } from './target.ts'

export const clientKey = generateKey('client')
export const hostKey = generateKey('host')
export const blobOf = (publicLine: string): string => publicLine.split(' ')[1] ?? ''

export const never = new AbortController().signal

/** Whether a program is installed. */
export const has = (program: string): boolean => {
  try {
    execFileSync('sh', ['-c', `command -v ${program} || command -v /usr/sbin/${program}`])
    return true
  } catch {
    return false
  }
}

/** A test that is skipped with a message if its requirement is missing. */
export const testWith = (
  there: boolean,
  name: string,
  test: (t: Test) => Promise<void>,
): void => {
  if (there) void tap.test(name, test)
  else tap.comment(`left out here: ${name}`)
}

export const clock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: (ms, signal) => sleep(ms, undefined, { signal }),
}

/** A TCP server with a custom socket handler. */
export const rawServer = async (
  t: Test,
  serve: (socket: Socket) => void,
): Promise<number> => {
  const sockets = new Set<Socket>()
  const server = createServer(socket => {
    sockets.add(socket)
    socket.on('error', () => undefined).on('close', () => sockets.delete(socket))
    serve(socket)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

export interface ServerOptions {
  readonly hostKeys?: readonly string[]
  readonly algorithms?: ssh2.Algorithms
  /** What a command does; by default it ends with 0. */
  readonly exec?: (channel: ServerChannel, command: string) => void
  readonly onReady?: (client: ServerConnection) => void
  readonly refuseChannels?: boolean
  /** Text before the authentication. */
  readonly banner?: string
  /** Replaces the decision about a key. */
  readonly onAuthentication?: (client: ServerConnection, key: Buffer) => void
}

export interface TestServer {
  readonly port: number
  /** Sessions open now, and the most that were open at a time. */
  readonly sessions: { now: number; most: number }
  /** Sockets open now. */
  readonly sockets: ReadonlySet<Socket>
}

/** A real SSH server in this process that accepts `clientKey`. */
export const sshServer = async (
  t: Test,
  options: ServerOptions = {},
): Promise<TestServer> => {
  const sockets = new Set<Socket>()
  const sessions = { now: 0, most: 0 }
  const known = ssh2.utils.parseKey(clientKey.public)
  if (known instanceof Error) throw known
  const blob = known.getPublicSSH()
  const ssh = new ssh2.Server(
    {
      hostKeys: [...(options.hostKeys ?? [hostKey.private])],
      ...(options.algorithms ? { algorithms: options.algorithms } : {}),
      ...(options.banner === undefined ? {} : { banner: options.banner }),
    },
    client => {
      client.on('error', () => undefined)
      client.on('authentication', context =>
        options.onAuthentication && context.method === 'publickey'
          ? options.onAuthentication(client, context.key.data)
          : context.method === 'publickey' && context.key.data.equals(blob)
            ? context.accept()
            : context.reject(['publickey']),
      )
      client.on('ready', () => {
        options.onReady?.(client)
        client.on('session', (accept, reject) => {
          if (options.refuseChannels) return reject()
          sessions.most = Math.max(sessions.most, ++sessions.now)
          accept()
            .on('close', () => sessions.now--)
            .on('exec', (acceptExec, _reject, info) => {
              const channel = acceptExec()
              channel.on('error', () => undefined)
              const exec = options.exec ?? (c => (c.exit(0), c.end()))
              exec(channel, info.command)
            })
        })
      })
    },
  )
  const port = await rawServer(t, socket => {
    socket.setNoDelay(true)
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    ssh.injectSocket(socket)
  })
  return { port, sessions, sockets }
}

/** A relay that can cut or change the server's output. `onBytes` gets each chunk and returns the chunk to forward. */
export const relay = (
  t: Test,
  to: number,
  onBytes: (chunk: Buffer, client: Socket) => Buffer | null,
): Promise<number> =>
  rawServer(t, client => {
    const server = connect(to, '127.0.0.1')
    server.on('error', () => undefined)
    client.pipe(server)
    client.on('close', () => server.destroy())
    server.on('close', () => client.destroy())
    server.on('data', (chunk: Buffer) => {
      const onward = onBytes(chunk, client)
      if (onward?.length) client.write(onward)
    })
  })

/** A private key in its own file; default: the client's key. */
export const keyFile = (t: Test, key = clientKey.private): string => {
  const directory = mkdtempSync(join(tmpdir(), 'builder-monitor-test-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  const file = join(directory, 'id')
  writeFileSync(file, key, { mode: 0o600 })
  return file
}

/** A machine line's key: base64 of a public key file. */
export const pinOf = (publicLine: string): string =>
  Buffer.from(`${publicLine}\n`).toString('base64')

export interface DialOptions {
  readonly builder?: Partial<Builder>
  readonly target?: Partial<SshTarget>
}

/** Dials 127.0.0.1 with the client's key and the host key pinned. */
export const dialTo = (t: Test, port: number, { builder, target }: DialOptions = {}) => {
  const file = keyFile(t)
  const dial: Dial = createDial({
    run: createRun(),
    clock,
    env: process.env,
    nix: () => ({ version: '2.31.0', system: 'x86_64-linux' }),
    resolve: () => aTarget({ port, identityFiles: [file], ...target }),
  })
  return async (signal: AbortSignal = never) => {
    const dialled = await dial(
      aBuilder({
        host: '127.0.0.1',
        port,
        sshKey: file,
        publicHostKey: pinOf(hostKey.public),
        ...builder,
      }),
      signal,
    )
    // Closed sockets are removed, because tests check for leaks
    const kept = dialled.connection && new WeakRef(dialled.connection)
    t.teardown(() => kept?.deref()?.close())
    return dialled
  }
}

/** Waits until the condition is true; tap's timeout is the limit. */
export const until = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await sleep(10)
}
