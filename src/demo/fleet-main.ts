/** The child process of the demo fleet; see fleet.ts. It ends when its parent disconnects or dies. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { demoBuilders, manyBuilders } from './demo-builder.ts'
import type { FleetMessage, FleetRequest } from './fleet.ts'
import { serveFleet } from './serve-fleet.ts'

const keyDir = mkdtempSync(join(tmpdir(), 'builder-monitor-demo-'))
process.on('exit', () => rmSync(keyDir, { recursive: true, force: true }))
process.on('disconnect', () => process.exit(0))
process.on('SIGTERM', () => process.exit(0))
// Ctrl-C reaches the whole process group; the parent ends this process later
process.on('SIGINT', () => undefined)
if (!process.connected) process.exit(0)

const send = (message: FleetMessage): void => {
  // If the parent is gone, its disconnect ends this process
  process.send?.(message, () => undefined)
}

const { count, flaky } = JSON.parse(process.argv[2] ?? '{}') as FleetRequest
try {
  const builders = count === null ? demoBuilders : manyBuilders(count)
  const { clientKey, servers } = await serveFleet(builders, flaky)
  const keyFile = join(keyDir, 'id_ed25519')
  writeFileSync(keyFile, clientKey, { mode: 0o600 })
  send({ keyFile, servers })
} catch (error) {
  send({ error: error instanceof Error ? error.message : String(error) })
  process.exitCode = 1
  process.disconnect()
}
