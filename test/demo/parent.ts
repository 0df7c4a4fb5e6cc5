/** A parent process for a test that kills it: starts a fleet, sends its first builder, and waits. */
import { startDemoFleet } from '../../src/demo/fleet.ts'

const { builders } = await startDemoFleet({ count: 1 })
process.send?.(builders[0])
