import { resolveControlSocket, requestDaemon } from './control-socket.ts'
import type { Io } from './terminal.ts'

/** Reading the builders runs Nix, which takes several seconds. */
const timeoutMs = 60_000

/** Requests a reload from the running daemon. Returns 1 if it rejects the new configuration. */
export const reloadCommand = async (
  { socket: path }: { readonly socket: string | undefined },
  io: Io,
): Promise<number> => {
  const socket = resolveControlSocket(path, io)
  const { status, body } = await requestDaemon(socket, 'POST', '/-/reload', timeoutMs)
  if (status === 200) io.out(body)
  else io.err(`builder-monitor: ${body}`)
  return status === 200 ? 0 : 1
}
