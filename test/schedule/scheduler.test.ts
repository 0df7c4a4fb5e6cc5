import t from 'tap'
import type { Builder, CronScheduler } from '../../src/model/index.ts'
import { createScheduler, splayFraction, type Job } from '../../src/schedule/scheduler.ts'
import { createCronScheduler, cronError } from '../../src/schedule/cron.ts'
import { aBuilder } from '../support/builders.ts'

/** A cron scheduler that runs tasks when the test calls `ring`. */
const createManualCron = () => {
  const tasks = new Map<string, () => void>()
  const cron: CronScheduler = {
    every: (_, name, task) => {
      tasks.set(name, task)
      return () => tasks.delete(name)
    },
    // Short, so that delays are milliseconds
    intervalSeconds: () => 0.02,
    secondsToNext: () => 1000,
    stop: () => Promise.resolve(),
  }
  return { cron, ring: (name: string) => tasks.get(name)?.() }
}

const builders = (count: number): Builder[] =>
  Array.from({ length: count }, (_, i) =>
    aBuilder({ name: `b${i}`, host: `h${i}`, line: `l${i}` }),
  )

const setUp = (change: Partial<Job>, count = 1) => {
  const { cron, ring } = createManualCron()
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
    expectedMs: 60_000,
    exclusiveKey: builder => builder.name,
    run: async (builder, due) => {
      most = Math.max(most, ++running)
      runs.push({ name: builder.name, due: [...due].sort() })
      await gate
      running--
    },
    ...change,
  }
  const scheduler = createScheduler([job], {
    cron,
    random: () => 0,
    onDelay: () => undefined,
    onError: () => undefined,
  })
  scheduler.setBuilders(builders(count))
  const until = async (done: () => boolean) => {
    while (!done()) await new Promise(resolve => setTimeout(resolve, 2))
  }
  return {
    scheduler,
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

t.test('reports a run that does not end, and due runs that do not start', async t => {
  const s = setUp({ concurrency: 1 }, 3)
  t.equal(s.scheduler.lagSeconds('work'), 0)
  s.hold()
  s.ring('work')
  await s.until(() => s.scheduler.lagSeconds('work') > 0.1)
  s.release()
  await s.until(() => s.runs.length === 3)
  t.equal(s.scheduler.lagSeconds('work'), 0, 'no run and none due')
  await s.scheduler.stop()
})

t.test('runs that wait for others are no lag', async t => {
  let running = 0
  const s = setUp(
    {
      concurrency: 1,
      run: async () => {
        running++
        await new Promise(resolve => setTimeout(resolve, 50))
      },
    },
    10,
  )
  const from = performance.now()
  s.ring('work')
  let most = 0
  await s.until(() => {
    most = Math.max(most, s.scheduler.lagSeconds('work'))
    return running === 10
  })
  const seconds = (performance.now() - from) / 1000
  t.ok(most < seconds / 2, `${most} s of ${seconds} s`)
  await s.scheduler.stop()
})

t.test('reports a schedule that does not fire', async t => {
  const { cron } = createManualCron()
  const scheduler = createScheduler(
    [
      {
        name: 'work',
        times: { work: '* * * * *' },
        jitter: 0,
        concurrency: 1,
        expectedMs: 1000,
        exclusiveKey: builder => builder.name,
        run: () => Promise.resolve(),
      },
    ],
    {
      cron: { ...cron, secondsToNext: () => 0.05 },
      random: () => 0,
      onDelay: () => undefined,
      onError: () => undefined,
    },
  )
  t.equal(scheduler.lagSeconds('work'), 0)
  while (scheduler.lagSeconds('work') === 0)
    await new Promise(resolve => setTimeout(resolve, 5))
  t.pass('late')
  await scheduler.stop()
})

t.test('never runs more jobs at once than the concurrency', async t => {
  const s = setUp({ concurrency: 3 }, 12)
  s.hold()
  s.ring('work')
  await s.until(() => s.runs.length === 3)
  s.release()
  await s.until(() => s.runs.length === 12)
  t.equal(s.most(), 3)
  await s.scheduler.stop()
})

t.test('a run that waits for a deadline does not delay others', async t => {
  const s = setUp({ concurrency: 2, expectedMs: 5 }, 12)
  s.hold()
  s.ring('work')
  await s.until(() => s.runs.length === 12)
  t.equal(s.most(), 12)
  s.release()
  await s.scheduler.stop()
})

t.test('never runs two jobs for one builder at once', async t => {
  const s = setUp({})
  s.hold()
  s.ring('work')
  await s.until(() => s.runs.length === 1)
  s.ring('work')
  s.scheduler.runOnce('work', builders(1)[0]!, 0)
  await new Promise(resolve => setTimeout(resolve, 60))
  t.equal(s.runs.length, 1)
  s.release()
  await s.until(() => s.runs.length === 2)
  await s.scheduler.stop()
})

t.test('combines probes that are due at the same time into one run', async t => {
  const s = setUp({ times: { disk: '*/30 * * * * *', memory: '*/30 * * * * *' } })
  s.ring('disk')
  s.ring('memory')
  await s.until(() => s.runs.length === 1)
  t.same(s.runs, [{ name: 'b0', due: ['disk', 'memory'] }])
  await s.scheduler.stop()
})

t.test('continues after a job that throws', async t => {
  const s = setUp({ run: () => Promise.reject(new Error('bug')) })
  s.ring('work')
  await new Promise(resolve => setTimeout(resolve, 60))
  s.ring('work')
  await s.scheduler.stop()
  t.pass('the scheduler stops normally')
})

t.test('stop resolves after the running jobs, and no job starts later', async t => {
  const s = setUp({})
  s.hold()
  s.ring('work')
  await s.until(() => s.runs.length === 1)
  let stopped = false
  const stopping = s.scheduler.stop().then(() => (stopped = true))
  await new Promise(resolve => setTimeout(resolve, 30))
  t.equal(stopped, false)
  s.release()
  await stopping
  s.ring('work')
  await new Promise(resolve => setTimeout(resolve, 60))
  t.equal(s.runs.length, 1)
})

t.test('runs no job for a removed builder', async t => {
  const s = setUp({}, 2)
  s.scheduler.runOnce('work', builders(2)[1]!, 40)
  s.scheduler.setBuilders(builders(1))
  await new Promise(resolve => setTimeout(resolve, 80))
  t.equal(s.runs.length, 0)
  await s.scheduler.stop()
})

t.test('a queued job runs with the changed builder of its name', async t => {
  const lines: string[] = []
  const run = async ({ line }: Builder) => void lines.push(line)
  const s = setUp({ run }, 1)
  s.scheduler.runOnce('work', builders(1)[0]!, 40)
  s.scheduler.setBuilders([aBuilder({ name: 'b0', host: 'h0', line: 'changed' })])
  await s.until(() => lines.length > 0)
  t.same(lines, ['changed'])
  await s.scheduler.stop()
})

t.test('splay is stable and evenly distributed', async t => {
  t.equal(splayFraction('b1'), splayFraction('b1'))
  const phases = Array.from({ length: 100 }, (_, i) => splayFraction(`builder-${i}`))
  const early = phases.filter(phase => phase < 0.5).length
  t.ok(early > 30 && early < 70)
})

t.test('reports errors and intervals of cron expressions', async t => {
  t.equal(cronError('*/2 * * * *'), null)
  t.match(cronError('61 * * * *'), /\w/)
  const cron = createCronScheduler('UTC')
  t.equal(cron.intervalSeconds('*/2 * * * *'), 120)
  t.equal(cron.intervalSeconds('*/30 * * * * *'), 30)
  t.ok(cron.secondsToNext('*/30 * * * * *') <= 30)
  t.ok(cron.secondsToNext('0 0 1 1 *') <= 367 * 86_400)
  await cron.stop()
})

t.test('runs a task with node-cron', async t => {
  const cron = createCronScheduler('UTC')
  await new Promise<void>(resolve => cron.every('* * * * * *', 'second', resolve))
  await cron.stop()
  t.pass('the task ran')
})
