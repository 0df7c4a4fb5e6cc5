import type { Builder, Channel, LocalNix, Remote } from '../../../model/index.ts'
import { atLeast } from '../../../nix/dialect.ts'
import { serveMagic } from '../../../nix/protocol/serve.ts'
import { storeCommand } from '../../../nix/protocol/store-command.ts'
import { workerMagic } from '../../../nix/protocol/worker.ts'
import { harmlessOptions, openPinnedKey, startSsh } from '../openssh.ts'
import type { SshCommand } from '../ssh-command.ts'
import type { SshOptions } from './option-rules.ts'

export interface HandshakeResult {
  /** `ok`: the remote Nix answered. `ended`: it did not. `timeout`: nothing happened. */
  readonly status: 'ok' | 'ended' | 'timeout'
  readonly stderr: string
}

export interface HandshakeRequest {
  readonly builder: Builder
  readonly command: SshCommand
  readonly pinnedLine: string | null
  /** The result of ssh -G; null if it failed. */
  readonly options: SshOptions | null
  readonly nix: LocalNix
  readonly env: Readonly<Record<string, string | undefined>>
  readonly signal: AbortSignal
}

/** An answer takes less than a login, which is limited to 10 s. */
const handshakeMs = 6000
const maxBytes = 64 * 1024

/**
 * Starts ssh with the arguments of Nix (libstore/ssh.cc startCommand) and reads the first bytes of the protocol. Differs
 * from Nix in what must not happen twice: no forwardings, no shared connection, no fork, no question.
 */
export const handshakeAsNix = async (
  request: HandshakeRequest,
): Promise<HandshakeResult> => {
  const { builder, command, nix, env, signal } = request
  const pinned = await openPinnedKey(request.pinnedLine)
  try {
    const setsLocalCommand = atLeast(nix.version, 2, 15)
    const channel = startSsh(
      [
        command.destination,
        '-x',
        ...harmlessOptions,
        '-oTunnel=no',
        ...(request.options?.get('forkafterauthentication')?.[0] === 'yes'
          ? ['-oForkAfterAuthentication=no']
          : []),
        ...command.options,
        ...pinned.options,
        '-oConnectTimeout=5',
        ...(setsLocalCommand
          ? ['-oPermitLocalCommand=yes', '-oLocalCommand=echo started']
          : []),
        ...(atLeast(nix.version, 2, 16) ? ['--'] : []),
        storeCommand(builder),
      ],
      { ...env, SHELL: '/bin/sh' },
    )
    return await readAnswer(channel, builder, setsLocalCommand, signal)
  } finally {
    pinned.remove()
  }
}

/** The same over a connection that exists already. */
export const handshakeOver = async (
  remote: Remote,
  builder: Builder,
  signal: AbortSignal,
): Promise<HandshakeResult> =>
  readAnswer(await remote.open(storeCommand(builder), signal), builder, false, signal)

/** Sends the client's magic number and waits for the server's. Closes the channel. */
const readAnswer = (
  channel: Channel,
  builder: Builder,
  startsWithStarted: boolean,
  signal: AbortSignal,
): Promise<HandshakeResult> =>
  new Promise(resolve => {
    const magic = builder.scheme === 'ssh' ? serveMagic : workerMagic
    const expected = word(magic.server)
    const prefix = startsWithStarted ? Buffer.from('started\n') : Buffer.alloc(0)
    let stdout = Buffer.alloc(0)
    let stderr = ''
    const settle = (status: HandshakeResult['status']) => {
      clearTimeout(timer)
      signal.removeEventListener('abort', onAbort)
      channel.close()
      resolve({ status, stderr })
    }
    const onAbort = () => settle('timeout')
    const timer = setTimeout(onAbort, handshakeMs)
    signal.addEventListener('abort', onAbort, { once: true })
    channel.stdin.on('error', () => undefined)
    channel.stderr.on('data', (chunk: Buffer) => {
      if (stderr.length < maxBytes) stderr += chunk.toString('utf8')
    })
    channel.stdout.on('data', (chunk: Buffer) => {
      stdout = Buffer.concat([stdout, chunk])
      const wanted = Buffer.concat([prefix, expected])
      if (stdout.length >= wanted.length)
        settle(stdout.subarray(0, wanted.length).equals(wanted) ? 'ok' : 'ended')
    })
    void channel.exit.then(() => settle('ended'))
    channel.stdin.write(word(magic.client))
    if (signal.aborted) onAbort()
  })

const word = (value: bigint): Buffer => {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(value)
  return bytes
}
