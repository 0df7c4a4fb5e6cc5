/** Which connection is kept after a login, with real logins to the demo fleet. */
import t from 'tap'
import { demoBuilders, startDemoFleet } from '../../src/demo/fleet.ts'
import { demoTarget } from '../../src/demo/target.ts'
import { createMonitor } from '../../src/engine/monitor.ts'
import { createSystemPorts } from '../../src/engine/system-ports.ts'
import { systemClock } from '../../src/schedule/clock.ts'
import { createRun } from '../../src/transport/run.ts'
import { intervals } from '../support/builders.ts'

t.test('a login does not replace a connection whose sweeps are answered', async t => {
  const fleet = await startDemoFleet({ count: 1 })
  t.teardown(() => fleet.stop())
  const closed: boolean[] = []
  const monitor = createMonitor({
    createPorts: nix => {
      const ports = createSystemPorts({
        ...{ run: createRun(), clock: systemClock, env: process.env, nix },
        resolve: demoTarget,
      })
      return {
        ...ports,
        dial: async (...args) => {
          const dialled = await ports.dial(...args)
          const i = closed.push(false) - 1
          void dialled.connection?.closed.then(() => (closed[i] = true))
          return dialled
        },
      }
    },
    env: {},
    testsFeatures: () => false,
    stuckAfterSeconds: () => 3600,
    health: { evaluateHealth: ({ health }) => ({ health, changedAt: [] }), intervals },
  })
  t.teardown(() => monitor.close())
  const active = demoBuilders(fleet)
  const [builder] = active.builders
  if (!builder) throw new Error('no builder')
  const { signal } = new AbortController()
  monitor.setBuilders(active)
  const login = async () => {
    const checked = await monitor.checkLogin(builder, signal)
    t.equal(checked?.isUsable, true)
    await new Promise(resolve => setImmediate(resolve))
  }
  await login()
  await login()
  t.same(closed, [true, false], 'no sweep was answered yet')
  for (let i = 0; i < 3; i++) {
    await monitor.checkTelemetry(builder, ['system', 'disk'], signal)
    const { probes } = monitor.store.read().builders.get(builder.name)!
    t.equal(probes.disk?.last.outcome.status, 'ok')
  }
  await login()
  await login()
  t.same(closed, [true, false, true, true], 'later logins are only tests')
})
