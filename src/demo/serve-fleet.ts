import { setTimeout as sleep } from 'node:timers/promises'
import ssh2 from 'ssh2'
import type { DemoBuilder } from './demo-builder.ts'
import { generateKey } from './keys.ts'
import { startDemoServer, type DemoServer } from './ssh-server.ts'

/** How long the flaky builder is reachable and unreachable, in milliseconds. */
export interface FlakyTimes {
  readonly upMs: number
  readonly downMs: number
}

/** What the parent needs to connect to the fleet. */
export interface ServedFleet {
  /** OpenSSH private key of the client. */
  readonly clientKey: string
  readonly servers: readonly ServedBuilder[]
}

export interface ServedBuilder {
  readonly builder: DemoBuilder
  readonly port: number
  /** The host key line to pin; not the server's if `hasPinnedKey` is false. */
  readonly pinnedKey: string
}

/** Starts a server for each builder; they end with this process. */
export const serveFleet = async (
  builders: readonly DemoBuilder[],
  flaky: FlakyTimes,
): Promise<ServedFleet> => {
  const clientKeyPair = generateKey('builder-monitor demo')
  const hostKeyPair = generateKey('demo')
  const clientKey = ssh2.utils.parseKey(clientKeyPair.public)
  if (clientKey instanceof Error) throw clientKey
  const servers: ServedBuilder[] = []
  for (const builder of builders) {
    const server = await startDemoServer({
      builder,
      hostKey: hostKeyPair.private,
      clientKey: clientKey.getPublicSSH(),
    })
    const pinnedKeyPair = builder.hasPinnedKey ? hostKeyPair : generateKey('demo')
    servers.push({ builder, port: server.port, pinnedKey: pinnedKeyPair.public })
    if (builder.isFlaky) void toggleAvailability(server, flaky)
  }
  return { clientKey: clientKeyPair.private, servers }
}

const toggleAvailability = async (
  server: DemoServer,
  { upMs, downMs }: FlakyTimes,
): Promise<never> => {
  for (;;) {
    await sleep(upMs)
    await server.close()
    // If another program has taken the port, the builder stays down longer
    do await sleep(downMs)
    while (!(await tryReopen(server)))
  }
}

const tryReopen = (server: DemoServer): Promise<boolean> =>
  server.reopen().then(
    () => true,
    () => false,
  )
