import t from 'tap'
import type { Builder, CronScheduler } from '../../src/model/index.ts'
import { createScheduler, splayFraction, type Job } from '../../src/schedule/scheduler.ts'
import { createCronScheduler, cronError } from '../../src/schedule/cron.ts'
import { aBuilder } from '../support/builders.ts'

/** A timetable whose times come when the test says so. */
const manual = () => {
  const tasks = new Map<string, () => void>()
  const timetable: CronScheduler = {
    every: (_, name, task) => {
      tasks.set(name, task)
      return () => tasks.delete(name)
    },
    // Small, so that phases are milliseconds
    intervalSeconds: () => 0.02,
    stop: () => Promise.resolve(),
  }
  return { timetable, ring: (name: string) => tasks.get(name)?.() }
}

const builders = (count: number): Builder[] =>
  Array.from({ length: count }, (_, i) =>
    aBuilder({ name: `b${i}`, host: `h${i}`, line: `l${i}` }),
  )

const setUp = (change: Partial<Job>, count = 1) => {
  const { timetable: cron, ring } = manual()
  let running = 0
  let most = 0
  const runs: { name: string; due: string[] }[] = []
  let release: () => void = () => undefined
  let gate: Promise<void> = Promise.resolve()
  const job: Job = {
    name: 'work',
    times: { work: '* * * * *' },
    jitter: 0,
    concurrency: 10,
    exclusiveKey: builder => builder.name,
    run: async (builder, due) => {
      most = Math.max(most, ++running)
      runs.push({ name: builder.name, due: [...due].sort() })
      await gate
      running--
    },
    ...change,
  }
  const planner = createScheduler([job], {
    cron,
    random: () => 0,
    onDelay: () => undefined,
    onError: () => undefined,
  })
  planner.setBuilders(builders(count))
  const until = async (done: () => boolean) => {
    while (!done()) await new Promise(resolve => setTimeout(resolve, 2))
  }
  return {
    planner,
    ring,
    runs,
    until,
    most: () => most,
    hold: () => {
      gate = new Promise(resolve => (release = resolve))
    },
    release: () => release(),
  }
}

t.test('never runs more side by side than the width', async t => {
  const s = setUp({ concurrency: 3 }, 12)
  s.hold()
  s.ring('work')
  await s.until(() => s.runs.length === 3)
  s.release()
  await s.until(() => s.runs.length === 12)
  t.equal(s.most(), 3)
  await s.planner.stop()
})

t.test('never runs twice for one builder at once', async t => {
  const s = setUp({})
  s.hold()
  s.ring('work')
  await s.until(() => s.runs.length === 1)
  s.ring('work')
  s.planner.runOnce('work', builders(1)[0]!, 0)
  await new Promise(resolve => setTimeout(resolve, 60))
  t.equal(s.runs.length, 1)
  s.release()
  await s.until(() => s.runs.length === 2)
  await s.planner.stop()
})

t.test('what is due at the same time goes out in one run', async t => {
  const s = setUp({ times: { disk: '*/30 * * * * *', memory: '*/30 * * * * *' } })
  s.ring('disk')
  s.ring('memory')
  await s.until(() => s.runs.length === 1)
  t.same(s.runs, [{ name: 'b0', due: ['disk', 'memory'] }])
  await s.planner.stop()
})

t.test('a job that throws ends neither the planner nor the next run', async t => {
  const s = setUp({ run: () => Promise.reject(new Error('bug')) })
  s.ring('work')
  await new Promise(resolve => setTimeout(resolve, 60))
  s.ring('work')
  await s.planner.stop()
  t.pass('still here')
})

t.test(
  'stop resolves only when nothing runs any more, and nothing starts after it',
  async t => {
    const s = setUp({})
    s.hold()
    s.ring('work')
    await s.until(() => s.runs.length === 1)
    let stopped = false
    const stopping = s.planner.stop().then(() => (stopped = true))
    await new Promise(resolve => setTimeout(resolve, 30))
    t.equal(stopped, false)
    s.release()
    await stopping
    s.ring('work')
    await new Promise(resolve => setTimeout(resolve, 60))
    t.equal(s.runs.length, 1)
  },
)

t.test('a builder that left is not worked on', async t => {
  const s = setUp({}, 2)
  s.planner.runOnce('work', builders(2)[1]!, 40)
  s.planner.setBuilders(builders(1))
  await new Promise(resolve => setTimeout(resolve, 80))
  t.equal(s.runs.length, 0)
  await s.planner.stop()
})

t.test('phases are stable and spread', async t => {
  t.equal(splayFraction('b1'), splayFraction('b1'))
  const phases = Array.from({ length: 100 }, (_, i) => splayFraction(`builder-${i}`))
  const early = phases.filter(phase => phase < 0.5).length
  t.ok(early > 30 && early < 70)
})

t.test('cron expressions have faults in words, and intervals in seconds', async t => {
  t.equal(cronError('*/2 * * * *'), null)
  t.match(cronError('61 * * * *'), /\w/)
  const timetable = createCronScheduler('UTC')
  t.equal(timetable.intervalSeconds('*/2 * * * *'), 120)
  t.equal(timetable.intervalSeconds('*/30 * * * * *'), 30)
  await timetable.stop()
})

t.test('node-cron really rings', async t => {
  const timetable = createCronScheduler('UTC')
  await new Promise<void>(resolve => timetable.every('* * * * * *', 'second', resolve))
  await timetable.stop()
  t.pass('rang')
})
