import t from 'tap'
import { createConnections } from '../../src/engine/connections.ts'
import type { Builder, Connection } from '../../src/model/index.ts'
import { aBuilder } from '../support/builders.ts'

const aConnection = () => {
  let end: (reason: string) => void = () => undefined
  const closed = new Promise<string>(resolve => (end = resolve))
  const state = { isClosed: false }
  const connection: Connection = {
    open: () => Promise.reject(new Error('not used')),
    closed,
    close: () => {
      state.isClosed = true
      end('closed by us')
    },
  }
  return { connection, state, lose: end }
}

const setUp = (builders: readonly Builder[]) => {
  const lost: string[] = []
  let now = 0
  const connections = createConnections(
    (builder, reason) => lost.push(`${builder.name}: ${reason}`),
    { monotonic: () => now },
  )
  connections.setBuilders(builders)
  return { connections, lost, wait: (ms: number) => void (now += ms) }
}

t.test('a new connection replaces and closes the previous one', async t => {
  const builder = aBuilder()
  const { connections, lost } = setUp([builder])
  const [first, second] = [aConnection(), aConnection()]
  connections.replace(builder, first.connection)
  connections.replace(builder, second.connection)
  await first.connection.closed
  t.equal(first.state.isClosed, true)
  t.equal(connections.get(builder), second.connection)
  t.same(lost, [], 'a replaced connection is not lost')
})

t.test('reports a kept connection that closes by itself', async t => {
  const builder = aBuilder()
  const { connections, lost } = setUp([builder])
  const { connection, lose } = aConnection()
  connections.replace(builder, connection)
  lose('reset')
  await connection.closed
  t.same(lost, ['b1: reset'])
  t.equal(connections.get(builder), undefined)
})

t.test('closes the connection of a removed builder', async t => {
  const builder = aBuilder()
  const { connections } = setUp([builder])
  const { connection, state } = aConnection()
  connections.replace(builder, connection)
  connections.setBuilders([])
  t.equal(state.isClosed, true)
})

t.test('closes a connection whose builder was removed during the login', async t => {
  const builder = aBuilder()
  const { connections } = setUp([builder])
  connections.setBuilders([])
  const { connection, state } = aConnection()
  connections.replace(builder, connection)
  t.equal(state.isClosed, true)
  t.equal(connections.get(builder), undefined)
})

t.test('a changed machine line does not inherit the connection', async t => {
  const builder = aBuilder()
  const { connections } = setUp([builder])
  const { connection, state } = aConnection()
  connections.replace(builder, connection)
  const changed = aBuilder({ line: 'ssh-ng://nix@other' })
  connections.setBuilders([changed])
  t.equal(state.isClosed, true)
  t.equal(connections.get(changed), undefined)
})

t.test('a connection is good while sweeps over it are answered, for an hour', async t => {
  const builder = aBuilder()
  const { connections, wait } = setUp([builder])
  t.equal(connections.isGood(builder, 'a'), false, 'there is none')
  connections.replace(builder, aConnection().connection, 'a')
  t.equal(connections.isGood(builder, 'a'), false, 'no sweep yet')
  connections.noteSweep(builder, true)
  t.equal(connections.isGood(builder, 'a'), true)
  t.equal(connections.isGood(builder, 'b'), false, 'another server')
  t.equal(connections.isGood(builder, null), false, 'an unknown server')
  connections.noteSweep(builder, false)
  t.equal(connections.isGood(builder, 'a'), false)
  connections.noteSweep(builder, true)
  wait(3_600_000)
  t.equal(connections.isGood(builder, 'a'), false)
  const next = aConnection()
  connections.replace(builder, next.connection, null)
  connections.noteSweep(builder, true)
  t.equal(connections.isGood(builder, null), false, 'behind a proxy')
  next.lose('reset')
  await next.connection.closed
  t.equal(connections.isGood(builder, 'a'), false)
})
