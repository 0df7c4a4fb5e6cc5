/** Many names of one sshd: logins and builds do not overlap. */
import t from 'tap'
import { check, clientNames, fault, heal, inNode, type Line } from './support.ts'

const lines = Array.from({ length: 20 }, (_, i): Line => ({
  scheme: i % 2 === 0 ? 'ssh-ng' : 'ssh',
  host: `v${i + 1}.b1`,
}))

void t.test('an sshd with MaxStartups 1 drops no login of many names', async t => {
  await fault('b1', 'max-startups')
  t.teardown(() => heal('b1'))
  for (const client of clientNames) {
    const { of } = await check({ client, lines })
    for (const line of lines) t.equal(of(line).state, 'healthy', `${client} ${line.host}`)
  }
  const dropped = await inNode(
    'b1',
    'grep -ci "MaxStartups throttling\\|past MaxStartups" /var/log/lab/sshd.log || true',
  )
  t.equal(Number(dropped), 0)
})
