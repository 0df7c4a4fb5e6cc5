/** A parent that is to be killed: starts a fleet, reports where it is, and waits. */
import { startDemoFleet } from '../../src/demo/fleet.ts'

const { builders } = await startDemoFleet({ count: 1 })
process.send?.(builders[0])
