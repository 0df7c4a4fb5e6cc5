/** Live updates keep an open page equal to a reloaded one, and contain only changes. */
import { get as httpGet } from 'node:http'
import t, { type Test } from 'tap'
import { createEventsExporter } from '../../../src/exporters/api/events.ts'
import { createPageExporter } from '../../../src/exporters/page/index.ts'
import type { BuilderState, Snapshot } from '../../../src/model/index.ts'
import { builderOf, now, ok, serve, snapshotOf, stateOf, viewOf } from '../fixture.ts'

interface Message {
  readonly event: string
  readonly id: string
  readonly data: {
    readonly gone?: true
    readonly title?: { readonly title: string; readonly state: string }
    readonly parts?: Readonly<Record<string, string>>
    readonly order?: readonly string[]
    readonly name?: string
    readonly state?: string
  } | null
}

/** Reads a stream of server-sent events; `next` waits for the next message. */
const listen = (t: Test, url: string, headers: Record<string, string> = {}) => {
  const messages: Message[] = []
  const waiting: ((message: Message) => void)[] = []
  let rest = ''
  const request = httpGet(url, { headers }, response => {
    response.setEncoding('utf8').on('data', (text: string) => {
      const blocks = (rest + text).split('\n\n')
      rest = blocks.pop() ?? ''
      for (const block of blocks) {
        const field = (name: string) =>
          new RegExp(`^${name}: (.*)$`, 'm').exec(block)?.[1] ?? ''
        if (!field('event')) continue
        const message = {
          event: field('event'),
          id: field('id'),
          data: JSON.parse(field('data')) as Message['data'],
        }
        const first = waiting.shift()
        if (first) first(message)
        else messages.push(message)
      }
    })
  })
  request.on('error', () => undefined)
  t.teardown(() => request.destroy())
  return {
    next: () =>
      new Promise<Message>(resolve => {
        const message = messages.shift()
        if (message) resolve(message)
        else waiting.push(resolve)
      }),
    messages,
    end: () => request.destroy(),
  }
}

const two = () => snapshotOf([stateOf(builderOf('a')), stateOf(builderOf('b'))])
const withState = (snapshot: Snapshot, state: BuilderState): Snapshot => ({
  ...snapshot,
  version: snapshot.version + 1,
  builders: new Map(snapshot.builders).set(state.builder.name, state),
})

const started = async (t: Test, first: Snapshot) => {
  let time = now
  const view = viewOf(first)
  const server = await serve(
    view,
    createPageExporter({ version: '1', now: () => time }),
    createEventsExporter(),
  )
  t.teardown(() => server.close())
  const open = async (path = '/') => {
    const { body } = await server.get(path)
    const [cursor = '', address = ''] = (/data-live="([^"]*)"/.exec(body)?.[1] ?? '')
      .replaceAll('&amp;', '&')
      .split(' ')
    return {
      body,
      cursor,
      url: (since: string) =>
        `${server.url}/live?${new URLSearchParams({ page: address, since }).toString()}`,
    }
  }
  return { view, server, open, pass: (seconds: number) => (time += seconds) }
}

t.test('sends only changed regions and the order of rows', async t => {
  const { view, open } = await started(t, two())
  const page = await open()
  const stream = listen(t, page.url(page.cursor))
  view.set(withState(view.read(), stateOf(builderOf('b'), {}, { state: 'down' })))
  const { event, data, id } = await stream.next()
  t.equal(event, 'update')
  t.match(data?.title, { text: '✘ 1 down', icon: /d93025/ })
  t.strictSame(data?.order, ['builder-b', 'builder-a'])
  t.strictSame(Object.keys(data?.parts ?? {}).sort(), ['builder-b', 'headline', 'matrix'])
  t.match(data?.parts?.['builder-b'], '<td class="state down">')
  t.not(id, page.cursor)

  // Reconnecting clients get only the changes since their cursor
  const again = listen(t, page.url(page.cursor))
  t.strictSame((await again.next()).data, data)
  const upToDate = listen(t, page.url(''), { 'last-event-id': id })
  view.set(withState(view.read(), stateOf(builderOf('a'), {}, { state: 'down' })))
  t.strictSame(Object.keys((await upToDate.next()).data?.parts ?? {}).sort(), [
    'builder-a',
    'headline',
    'matrix',
  ])
})

t.test('keeps an open page equal to a reloaded one', async t => {
  const { view, open } = await started(t, two())
  const page = await open()
  const stream = listen(t, page.url(''))
  const parts = new Map<string, string>()
  let order: readonly string[] = []
  const take = async () => {
    const { data } = await stream.next()
    for (const [id, markup] of Object.entries(data?.parts ?? {})) parts.set(id, markup)
    order = data?.order ?? order
  }
  await take()
  for (const step of [
    withState(view.read(), stateOf(builderOf('c'), {}, { state: 'unknown' })),
    snapshotOf([stateOf(builderOf('b'), {}, { state: 'degraded' })]),
    snapshotOf([]),
    two(),
  ]) {
    view.set(step)
    await take()
    const { body } = await open()
    for (const id of order) t.ok(body.includes(parts.get(id) ?? 'nothing'), id)
    t.ok(body.includes(parts.get('headline') ?? 'nothing'))
    t.ok(body.includes(parts.get('empty') ?? 'nothing'))
    t.equal([...body.matchAll(/<tbody\s+id="builder/g)].length, order.length)
  }
})

t.test('sends a row that becomes stale, but no passing time', async t => {
  const login = ok('login', now - 200)
  const { open, pass } = await started(
    t,
    snapshotOf([stateOf(builderOf('a'), { ...stateOf(builderOf('a')).probes, login })]),
  )
  const page = await open()
  const stream = listen(t, page.url(page.cursor))
  pass(61)
  const { data } = await stream.next()
  t.match(data?.parts?.['builder-a'], 'was healthy')
  t.same(stream.messages, [])
})

t.test('reloads pages of another process and of removed builders', async t => {
  const { view, open } = await started(t, two())
  const page = await open('/builders/a')
  t.equal((await listen(t, page.url('another.x.7')).next()).event, 'reload')
  const stream = listen(t, page.url(page.cursor))
  view.set(snapshotOf([stateOf(builderOf('b'))]))
  t.strictSame((await stream.next()).data, { removed: true })
})

t.test('applies the filter to updates', async t => {
  const { view, open } = await started(t, two())
  const page = await open('/?state=down&x=y')
  const stream = listen(t, page.url(page.cursor))
  view.set(withState(view.read(), stateOf(builderOf('b'), {}, { state: 'down' })))
  t.strictSame((await stream.next()).data?.order, ['builder-b'])
})

t.test('rejects clients above the limit until one disconnects', async t => {
  const { open, server } = await started(t, two())
  const page = await open()
  const readers = Array.from({ length: 100 }, () => listen(t, page.url('')))
  await Promise.all(readers.map(one => one.next()))
  const { status, body } = await server.get(page.url('').slice(server.url.length))
  t.equal(status, 503)
  t.match(body, 'too many event streams')
  readers[0]!.end()
  const late = async (): Promise<Message> => {
    const response = await fetch(page.url(''))
    if (response.status === 503) return late()
    await response.body?.cancel()
    return { event: 'update', id: '', data: null }
  }
  t.equal((await late()).event, 'update')
})

t.test('GET /api/v1/events sends everything, then changes', async t => {
  const { view, server } = await started(t, two())
  const stream = listen(t, `${server.url}/api/v1/events`)
  t.match(await stream.next(), {
    event: 'fleet',
    id: '7',
    data: { state: 'healthy', builders: 2 },
  })
  t.match(await stream.next(), { event: 'builder', data: { name: 'a' } })
  t.match(await stream.next(), {
    event: 'builder',
    data: { name: 'b', state: 'healthy' },
  })
  view.set(withState(view.read(), stateOf(builderOf('b'), {}, { state: 'down' })))
  t.match(await stream.next(), { event: 'fleet', id: '8', data: { state: 'down' } })
  t.match(await stream.next(), { event: 'builder', data: { name: 'b', state: 'down' } })
  const { builders } = view.read()
  view.set({ ...view.read(), version: 9, builders: new Map([['a', builders.get('a')!]]) })
  t.match(await stream.next(), { event: 'fleet' })
  t.match(await stream.next(), { event: 'removed', id: '9', data: { name: 'b' } })
  t.same(stream.messages, [])
})
