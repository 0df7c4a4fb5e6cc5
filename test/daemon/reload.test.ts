import t from 'tap'
import {
  createReload,
  trackReloadStatus,
  type ReloadDeps,
} from '../../src/daemon/reload.ts'
import { defaultConfig, type Config } from '../../src/config/config.ts'
import { silentLog } from '../../src/log/log.ts'
import type { MonitorState } from '../../src/model/index.ts'

const config = defaultConfig({ validateCron: () => null, alertNames: [] })

const setUp = (change: Partial<ReloadDeps> = {}) => {
  const monitor: Partial<MonitorState>[] = []
  const applied: Config[] = []
  const calls: string[] = []
  const store = {
    updateMonitor: (part: Partial<MonitorState>) => void monitor.push(part),
    evaluateAll: () => void calls.push('health'),
  }
  const { reload, stop } = createReload({
    loadConfig: () => Promise.resolve({ ok: true, config }),
    http: {
      rebind: () => Promise.resolve([]),
      reloadWeb: () => Promise.resolve([]),
    },
    applyConfig: next => {
      applied.push(next)
      return Promise.resolve()
    },
    reloadBuilders: () => {
      calls.push('builders')
      return Promise.resolve()
    },
    setStatus: trackReloadStatus(store).set,
    store,
    log: silentLog,
    ...change,
  })
  const isOk = () => monitor.findLast(part => 'lastReloadOk' in part)?.lastReloadOk
  return { reload, stop, applied, calls, monitor, isOk }
}

t.test('applies a valid configuration', async t => {
  const { reload, applied, calls, isOk } = setUp()
  t.same(await reload(), [])
  t.same(applied, [config])
  t.same(calls, ['health', 'builders'])
  t.equal(isOk(), true)
})

t.test(
  'an invalid configuration changes no setting, the builders are reloaded',
  async t => {
    const { reload, applied, calls, isOk } = setUp({
      loadConfig: () => Promise.resolve({ ok: false, errors: ['/jitter: too large'] }),
    })
    t.same(await reload(), ['/jitter: too large'])
    t.same(applied, [])
    t.same(calls, ['builders'])
    t.equal(isOk(), false)
  },
)

t.test('applies nothing when an address cannot be bound', async t => {
  const { reload, applied, isOk } = setUp({
    http: {
      rebind: () => Promise.resolve(['port in use']),
      reloadWeb: () => Promise.resolve([]),
    },
  })
  t.same(await reload(), ['port in use'])
  t.same(applied, [], 'no other setting is applied')
  t.equal(isOk(), false)
})

t.test('an exception is reported, and the other parts are reloaded', async t => {
  const { reload, calls, isOk, monitor } = setUp({
    http: {
      rebind: () => Promise.reject(new Error('EINVAL')),
      reloadWeb: () => Promise.resolve(['bad certificate']),
    },
  })
  t.same(await reload(), ['config: EINVAL', 'bad certificate'])
  t.same(calls, ['builders'])
  t.equal(isOk(), false)
  t.match(monitor.at(-1), { reloading: false })
})

t.test('one reload runs at a time, and later requests share the next one', async t => {
  let running = 0
  let most = 0
  let count = 0
  const { reload } = setUp({
    reloadBuilders: async () => {
      count++
      most = Math.max(most, ++running)
      await new Promise(resolve => setImmediate(resolve))
      running--
    },
  })
  const first = reload()
  await new Promise(resolve => setImmediate(resolve))
  await Promise.all([first, ...Array.from({ length: 3000 }, () => reload())])
  t.equal(most, 1)
  t.equal(count, 2)
  await reload()
  t.equal(count, 3)
})

t.test('a stop waits for the running reload and prevents later ones', async t => {
  let release: () => void = () => undefined
  const { reload, stop, applied } = setUp({
    reloadBuilders: () => new Promise(resolve => (release = () => resolve(null))),
  })
  const first = reload()
  while (applied.length === 0) await new Promise(resolve => setImmediate(resolve))
  const second = reload()
  let isStopped = false
  const stopped = stop().then(() => (isStopped = true))
  await new Promise(resolve => setImmediate(resolve))
  t.equal(isStopped, false)
  release()
  t.same(await first, [])
  t.same(await second, ['builder-monitor is stopping'])
  await stopped
  t.equal(applied.length, 1)
})
