import t from 'tap'
import { unknownBuilderNames } from '../../src/daemon/context.ts'
import { aBuilder } from '../support/builders.ts'

t.test('reports names under builders that no builder has', async t => {
  const active = [aBuilder({ name: 'laptop' }), aBuilder({ name: 'mac' })]
  const builders = { laptpo: { expect: 'asleep' }, mac: {} } as never
  t.same(unknownBuilderNames({ builders }, active), [
    'builders.laptpo: no builder has this name, did you mean laptop?',
  ])
  t.same(unknownBuilderNames({ builders: {} }, active), [])
})
