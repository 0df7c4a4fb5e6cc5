/** A fleet with everything that the page can show. As a program it serves the page, for screenshots. */
import { createPageExporter } from '../../../src/exporters/page/index.ts'
import { builderParams } from '../../../src/diagnosis/params.ts'
import type { Builder, Snapshot, Kind, Params } from '../../../src/model/index.ts'
import {
  allOk,
  builderOf,
  diskValue,
  now,
  recordOf,
  serve,
  snapshotOf,
  stateOf,
  viewOf,
} from '../fixture.ts'

const failed = (builder: Builder, kind: Kind, params: Params, evidence?: string) => {
  const all = { ...builderParams(builder), ...params }
  return {
    outcome: {
      status: 'failed' as const,
      kind,
      params: all,
      ...(evidence ? { evidence } : {}),
    },
    cause: { kind, params: all, ...(evidence ? { evidence } : {}) },
  }
}

export const demoSnapshot = (): Snapshot => {
  const fast = builderOf('linux-1.example.org', { maxJobs: 32 })
  const arm = builderOf('arm-1.example.org', {
    systems: ['aarch64-linux', 'armv7l-linux'],
    supportedFeatures: ['big-parallel'],
  })
  const mac = builderOf('mac-1.example.org', {
    systems: ['aarch64-darwin', 'x86_64-darwin'],
    supportedFeatures: ['big-parallel'],
    maxJobs: 4,
  })
  const small = builderOf('linux-2.example.org', { maxJobs: 4 })
  const fresh = builderOf('linux-3.example.org', { supportedFeatures: [] })
  const changed = failed(
    mac,
    'host_key_changed',
    {
      detail:
        'ssh-ed25519 SHA256:uNiVztksCsDhcc0u9e8BrrJXVGDRUhSF2VQbzPDA3KI, known since 2025',
      hostKeyName: 'mac-1.example.org',
    },
    '@@@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @@@\nIT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!\nOffending ED25519 key in /root/.ssh/known_hosts:7',
  )
  const short = failed(small, 'below_min_free', {
    available: '2.1 GiB',
    minFree: '5.0 GiB',
    path: '/nix/store',
  })
  const store = {
    ...diskValue.store,
    availableBytes: 2.1 * 2 ** 30,
    sizeBytes: 233 * 2 ** 30,
  }
  return snapshotOf([
    stateOf(fast),
    stateOf(arm, allOk(), { since: now - 430_000 }),
    stateOf(
      mac,
      { ...allOk(now - 900), login: recordOf('login', changed.outcome) },
      {
        state: 'down',
        since: now - 860,
        cause: { probe: 'login', ...changed.cause },
        verified: false,
      },
    ),
    stateOf(
      small,
      {
        ...allOk(),
        disk: recordOf('disk', { status: 'ok', value: { ...diskValue, store } }),
      },
      { state: 'degraded', since: now - 4000, cause: { probe: 'disk', ...short.cause } },
    ),
    stateOf(
      fresh,
      {},
      { state: 'unknown', since: now - 3, cause: null, verified: false, changes: 0 },
    ),
  ])
}

if (process.argv[1]?.endsWith('demo.ts')) {
  const pages = createPageExporter({ version: '0.1.0', now: () => now })
  const { url } = await serve(viewOf(demoSnapshot()), pages)
  process.stdout.write(`${url}\n`)
}
