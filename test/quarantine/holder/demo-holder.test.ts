import { setImmediate } from 'node:timers/promises'
import t from 'tap'
import { createDemoHolder } from '../../../src/quarantine/holder/demo-holder.ts'
import {
  onlySlots,
  type HolderState,
} from '../../../src/quarantine/holder/holder-client.ts'

t.test('the holder of the demo reports each change once', async t => {
  const states: HolderState[] = []
  const holder = createDemoHolder(state => states.push(state))
  holder.hold(onlySlots([]))
  holder.hold(onlySlots(['a-0']))
  holder.hold(onlySlots(['a-0']))
  await setImmediate()
  t.match(states, [{ status: 'connected', slots: { held: ['a-0'] } }])
  t.equal(states.length, 1)
})
