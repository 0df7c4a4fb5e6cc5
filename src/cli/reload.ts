import { resolveControlSocket, requestDaemon } from './control-socket.ts'
import type { Io } from './terminal.ts'
import { parseArguments } from './arguments.ts'

/** Configurations of many builders take a while to be read. */
const timeoutMs = 60_000

/** `reload`: the running daemon reads everything anew, through its control socket. Exits with 0, or 1 where it could not. */
export const reloadCommand = async (args: readonly string[], io: Io): Promise<number> => {
  const { values } = parseArguments(args, { socket: { type: 'string' } })
  const socket = resolveControlSocket(values['socket'], io)
  const { status, body } = await requestDaemon(socket, 'POST', '/-/reload', timeoutMs)
  if (status === 200) io.out(body)
  else io.err(`builder-monitor: ${body}`)
  return status === 200 ? 0 : 1
}
