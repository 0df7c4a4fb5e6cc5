/** An SSH server that sends packets which no program asks for. */
import type { Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Connection as ServerConnection } from 'ssh2'

/** The part of ssh2's protocol object that writes packets; it is not public. */
interface Protocol {
  readonly _packetRW: {
    readonly write: {
      readonly allocStart: number
      alloc(length: number): Buffer
      finalize(packet: Buffer): Buffer
    }
  }
  readonly _cipher: { encrypt(packet: Buffer): void }
  rekey(): void
}

const protocolOf = (client: ServerConnection): Protocol =>
  (client as unknown as { readonly _protocol: Protocol })._protocol

/** Sends one packet with this payload, from its type byte on. */
export const sendPayload = (client: ServerConnection, payload: Buffer): void => {
  const { _packetRW, _cipher } = protocolOf(client)
  const packet = _packetRW.write.alloc(payload.length)
  packet.set(payload, _packetRW.write.allocStart)
  _cipher.encrypt(_packetRW.write.finalize(packet))
}

export const rekey = (client: ServerConnection): void => protocolOf(client).rekey()

/** RFC 4251, 5: a string or a number of 4 bytes. */
export const sshString = (text: string | Buffer): Buffer => {
  const bytes = Buffer.from(text as string)
  return Buffer.concat([uint32(bytes.length), bytes])
}
export const uint32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

export const message = (type: number, ...parts: readonly Buffer[]): Buffer =>
  Buffer.concat([Buffer.from([type]), ...parts])

/** Sends as fast as the socket takes it, until it is closed or `most` packets were sent. Returns how many were sent. */
export const flood = async (
  socket: Socket,
  send: () => void,
  most = 1e6,
): Promise<number> => {
  let sent = 0
  while (!socket.destroyed && sent < most) {
    for (let i = 0; i < 200 && !socket.destroyed; i++, sent++) {
      try {
        send()
      } catch {
        return sent
      }
    }
    if (socket.writableLength > 1e6 && !socket.destroyed)
      await new Promise<void>(resolve => {
        socket.once('drain', resolve).once('close', resolve)
      })
    await nextTurn()
  }
  return sent
}
