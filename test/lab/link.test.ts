/** What builders suffer from unseen, on the real fleet: a slow link, sessions without a client, dead substituters. */
import t from 'tap'
import type {
  SessionsValue,
  SubstitutersValue,
  ThroughputValue,
} from '../../src/model/index.ts'
import {
  check,
  fault,
  heal,
  inNode,
  labNet,
  nodes,
  schemes,
  waitFor,
  type Line,
} from './support.ts'

const skip = process.env['LAB'] !== '1' && 'needs the lab: npm run test:lab'
t.setTimeout(600_000)

const linesOf = (host: string): Line[] => schemes.map(scheme => ({ scheme, host }))
const all = nodes.flatMap(linesOf)
const mebibyte = 1024 ** 2

t.test('measures the link of every builder', { skip }, async t => {
  const { of } = await check({ client: 'c3', lines: all })
  for (const line of all) {
    const { state, probes } = of(line)
    const value = probes.throughput?.value as ThroughputValue | undefined
    t.equal(probes.throughput?.status, 'ok', `${line.host} ${line.scheme}`)
    t.ok((value?.upload ?? 0) > mebibyte && (value?.download ?? 0) > mebibyte)
    t.equal(state, 'healthy')
  }
})

t.test('a slow link degrades, and builds work', { skip }, async t => {
  t.teardown(() => heal('b3'))
  await fault('b3', 'slow:4mbit')
  const lines = linesOf('b3')
  const { of } = await check({ client: 'c3', lines })
  for (const line of lines) {
    const { state, cause, probes } = of(line)
    t.equal(state, 'degraded', JSON.stringify(cause))
    t.match(cause, { kind: 'slow_link', side: 'network', probe: 'throughput' })
    t.equal(probes.canary?.status, 'ok')
    const value = probes.throughput?.value as ThroughputValue | undefined
    // The limit of tc is 0.48 MiB/s
    t.ok(
      (value?.download ?? 0) < 0.7 * mebibyte && (value?.download ?? 0) > 0.1 * mebibyte,
    )
  }
})

t.test(
  'sessions whose client is gone are a notice with the command',
  { skip },
  async t => {
    t.teardown(() =>
      Promise.all(
        nodes.map(node =>
          inNode(node, 'pkill -9 -f "^sleep 1234$|^nix-store --serve"; true'),
        ),
      ),
    )
    for (const node of nodes) {
      // Its input stays open after the end of the session
      await inNode(
        node,
        `su -s /bin/sh remotebuild -c 'setsid sh -c "sleep 1234 | nix-store --serve --write >/dev/null 2>&1" >/dev/null 2>&1 </dev/null &'`,
      )
      await waitFor('the process', 10, async () =>
        (await inNode(node, 'pgrep -f "^nix-store --serve" || true')) ? true : null,
      )
    }
    await waitFor('an age of a minute', 120, async () => {
      const age = await inNode('b3', 'ps -o etimes= -p $(pgrep -f "^nix-store --serve")')
      return Number(age) > 62 ? true : null
    })
    const lines = linesOf('b1').concat(linesOf('b2'), linesOf('b3'))
    const { of } = await check({ client: 'c3', lines })
    for (const line of lines) {
      const { state, notices, probes } = of(line)
      const value = probes.sessions?.value as SessionsValue | undefined
      t.equal(
        value?.orphanCount,
        1,
        `${line.host} ${line.scheme} ${JSON.stringify(probes.sessions)}`,
      )
      t.match(
        notices?.find(({ kind }) => kind === 'orphaned_sessions'),
        { reason: /1 Nix process on .* has no client/ },
      )
      t.equal(state, 'healthy')
    }
  },
)

t.test(
  'substituters that do not answer on the builder are a notice',
  { skip },
  async t => {
    const dead = `http://${labNet}.3:9`
    const config = '/etc/nix/nix.conf'
    t.teardown(() => inNode('b3', `mv ${config}.saved ${config}`))
    await inNode(
      'b3',
      `cp -p ${config} ${config}.saved; echo 'substituters = ${dead}?token=secret' >>${config}`,
    )
    const lines = linesOf('b3')
    const used = await check({
      client: 'c3',
      lines,
      config: 'builders-use-substitutes = true',
    })
    for (const line of lines) {
      const { state, notices, probes } = used.of(line)
      t.same((probes.substituters?.value as SubstitutersValue).checked, [
        { url: dead, reason: 'no connection' },
      ])
      t.ok(notices?.some(({ kind }) => kind === 'builder_substituter_unreachable'))
      t.notMatch(JSON.stringify(used.answer), /secret/)
      t.equal(state, 'healthy')
    }
    const unused = await check({ client: 'c3', lines })
    for (const line of lines) t.equal(unused.of(line).probes.substituters, undefined)
  },
)
