/** What the machine line alone makes of a builder. */
import t from 'tap'
import { kindFixes } from '../../src/diagnosis/kinds/index.ts'
import { diagnose } from '../../src/diagnosis/diagnose.ts'
import type { Builder, ProbeRecords } from '../../src/model/index.ts'
import { parseStoreUri } from '../../src/nix/machines/store-uri.ts'
import { dialectOf } from '../../src/nix/dialect.ts'
import { aBuilder } from '../support/builders.ts'

const fromUri = (uri: string): Builder => {
  const { text, scheme, user, host, port, params } = parseStoreUri(
    uri,
    dialectOf('2.34.8'),
  )
  return aBuilder({ storeUri: text, scheme, user, host, port, params })
}

t.test('the own store as a builder is down', async t => {
  for (const uri of [
    'localhost',
    'ssh-ng://localhost',
    'auto',
    'daemon',
    'local',
    'local?trusted=1',
    'unix:///nix/var/nix/daemon-socket/socket',
  ])
    t.match(
      diagnose({}, [], fromUri(uri)),
      { state: 'down', cause: { kind: 'same_store' } },
      uri,
    )
  for (const uri of [
    'ssh://nix@localhost',
    'ssh://b1',
    '/mnt/store',
    'local?root=/mnt',
    'ssh://localhost?remote-store=local%3Froot=/mnt',
  ])
    t.match(diagnose({}, [], fromUri(uri)), { state: 'unknown', cause: null }, uri)
})

t.test(
  'a store URI without a host is the cause, with the line that was meant',
  async t => {
    const line = 'ssh://ssh://nix@b1 x86_64-linux /key 4'
    const doubled = { ...fromUri('ssh://ssh://nix@b1'), line, host: null }
    const denied = {
      canary: {
        last: { outcome: { status: 'failed', kind: 'auth_denied', params: {} } },
      },
    } as unknown as ProbeRecords
    const { state, cause } = diagnose(denied, [], doubled)
    t.match([state, cause?.kind], ['down', 'store_uri_invalid'])
    t.match(kindFixes('store_uri_invalid', cause?.params ?? {})[0], {
      text: /by: ssh:\/\/nix@b1 x86_64-linux \/key 4$/,
    })
    const built = { canary: { last: { outcome: { status: 'ok' } } } }
    t.match(diagnose(built as unknown as ProbeRecords, [], doubled), { cause: null })
  },
)

t.test('a builder that reports our own store is down', async t => {
  const system = {
    lastSuccess: { outcome: { status: 'ok', value: { isOwnStore: true } } },
  }
  const probes = { system } as unknown as ProbeRecords
  t.match(diagnose(probes, [], aBuilder()), { cause: { kind: 'same_store' } })
})

t.test('a line without slots is degraded, unless something worse is wrong', async t => {
  const builder = aBuilder({ maxJobs: 0 })
  const login = (status: string) =>
    ({
      login: {
        last: { outcome: { status } },
        conclusive: { outcome: { status, kind: 'tcp_refused', params: {} } },
      },
    }) as unknown as ProbeRecords
  t.match(diagnose(login('ok'), [], builder), {
    state: 'degraded',
    cause: { kind: 'no_slots' },
  })
  t.match(diagnose(login('failed'), [], builder), {
    state: 'down',
    cause: { kind: 'tcp_refused' },
  })
})
