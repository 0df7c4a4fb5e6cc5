import t from 'tap'
import { asClientMismatch, mayBeOffline } from '../../src/engine/explain.ts'
import { formatMessage, kindSide } from '../../src/diagnosis/kinds/index.ts'
import type { Outcome } from '../../src/model/index.ts'
import { aResult, ok } from '../support/builders.ts'

const denied: Outcome = { status: 'failed', kind: 'auth_denied', params: { host: 'b1' } }

t.test('a canary that fails only through nix-daemon is about this machine', async t => {
  const { outcome } = asClientMismatch(aResult('canary', denied))
  t.match(outcome, { status: 'degraded', kind: 'daemon_build_fails' })
  t.equal(kindSide('daemon_build_fails'), 'client')
  t.match(
    formatMessage('daemon_build_fails', 'params' in outcome ? outcome.params : {}),
    /works for builder-monitor, but not for nix-daemon \(through nix-daemon: b1 rejects the key/,
    'the failure of the daemon is the detail',
  )
  const success = aResult('canary', ok())
  t.equal(asClientMismatch(success), success)
})

t.test('only failures to reach a builder can be those of this network', async t => {
  const result = (kind: 'dns' | 'tcp_timeout' | 'auth_denied') =>
    aResult('login', { status: 'failed', kind, params: {} })
  t.ok(mayBeOffline(result('dns')))
  t.ok(mayBeOffline(result('tcp_timeout')))
  t.notOk(mayBeOffline(result('auth_denied')))
  t.notOk(mayBeOffline(aResult('login', ok())))
})
