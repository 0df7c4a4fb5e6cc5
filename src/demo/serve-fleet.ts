import { setTimeout as sleep } from 'node:timers/promises'
import ssh2 from 'ssh2'
import type { DemoBuilder } from './demo-builder.ts'
import { generateKey } from './keys.ts'
import { startDemoServer, type DemoServer } from './ssh-server.ts'

/** How long the flaky builder can be reached, and how long it cannot, milliseconds. */
export interface FlakyTimes {
  readonly upMs: number
  readonly downMs: number
}

/** What the parent must know to talk to the fleet. */
export interface ServedFleet {
  /** OpenSSH private key of the client. */
  readonly clientKey: string
  readonly servers: readonly ServedBuilder[]
}

export interface ServedBuilder {
  readonly builder: DemoBuilder
  readonly port: number
  /** The host key line to pin, which is not always the server's. */
  readonly pinnedKey: string
}

/** Starts a server for each builder in this process; they end with it. */
export const serveFleet = async (
  builders: readonly DemoBuilder[],
  flaky: FlakyTimes,
): Promise<ServedFleet> => {
  const client = generateKey('builder-monitor demo')
  const host = generateKey('demo')
  const clientKey = ssh2.utils.parseKey(client.public)
  if (clientKey instanceof Error) throw clientKey
  const servers: ServedBuilder[] = []
  for (const builder of builders) {
    const server = await startDemoServer({
      builder,
      hostKey: host.private,
      clientKey: clientKey.getPublicSSH(),
    })
    const pinned = builder.hasPinnedKey ? host : generateKey('demo')
    servers.push({ builder, port: server.port, pinnedKey: pinned.public })
    if (builder.isFlaky) void comeAndGo(server, flaky)
  }
  return { clientKey: client.private, servers }
}

const comeAndGo = async (
  server: DemoServer,
  { upMs, downMs }: FlakyTimes,
): Promise<never> => {
  for (;;) {
    await sleep(upMs)
    await server.close()
    // Somebody may have taken the port meanwhile; then it stays down for a while longer
    do await sleep(downMs)
    while (!(await isBack(server)))
  }
}

const isBack = (server: DemoServer): Promise<boolean> =>
  server.reopen().then(
    () => true,
    () => false,
  )
