import t from 'tap'
import { sessionsProbe } from '../../src/probes/sessions.ts'
import { substitutersProbe } from '../../src/probes/substituters.ts'
import type { TelemetryContext } from '../../src/model/index.ts'
import { aBuilder } from '../support/builders.ts'

const context: TelemetryContext = {
  builder: aBuilder({ name: 'b1' }),
  nix: { version: null, system: '' },
  last: () => null,
  sentAt: 0,
  receivedAt: 0,
}

/** Recorded from Debian 13 with OpenSSH 10, Nix 2.26 and 2.34; the ages are changed. */
const processes = `== processes
      1       0 20-00:05:02 /sbin/init
    900       1 20-00:05:00 sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups
   1200     900       05:00 sshd-session: remotebuild [priv]
   1201    1200       05:00 sshd-session: remotebuild@notty
   1202    1201       05:00 nix-daemon --stdio
   1300       1  3-04:05:06 nix-store --serve --write
   1301       1       00:30 nix-daemon --stdio
   1400       1    01:00:00 bash -c nix-daemon --stdio
   1401    1400    01:00:00 /nix/var/nix/profiles/default/bin/nix-daemon --stdio
   1500    1499    02:00:00 nix-store --serve --write
`

t.test('finds sessions without an ssh server among their parents', async t => {
  const outcome = sessionsProbe.parse(processes, context)
  t.same(outcome, {
    status: 'ok',
    value: {
      sessions: 5,
      orphans: [
        { pid: 1300, seconds: 3 * 86_400 + 4 * 3600 + 306 },
        { pid: 1401, seconds: 3600 },
      ],
      orphanCount: 2,
    },
  })
  if (outcome.status !== 'ok') return
  t.same(
    sessionsProbe
      .samples(outcome.value, context.builder)
      .map(({ family, value }) => [family, value]),
    [
      ['nix_builder_sessions', 5],
      ['nix_builder_orphaned_sessions', 2],
      ['nix_builder_orphaned_session_oldest_seconds', 273_906],
    ],
  )
})

t.test('is skipped where other processes are hidden, and for other text', async t => {
  for (const output of [
    '',
    '== processes\n',
    processes.replace('      1       0', '      2       0'),
  ])
    t.match(sessionsProbe.parse(output, context), { status: 'skipped', kind: 'no_data' })
  const hostile = `== processes\n${'1 '.repeat(100_000)}\n${'9'.repeat(1000)} 1 00:01 nix-daemon --stdio`
  t.match(sessionsProbe.parse(hostile, context), { status: 'skipped' })
})

t.test('names the substituters that do not answer, without secrets', async t => {
  const outcome = substitutersProbe.parse(
    [
      'curl 0 https://cache.nixos.org',
      'curl 28 https://user:pw@cache.example/team?token=abc',
      'curl 22 http://10.0.0.1:5000/',
      'wget 4 http://10.0.0.2',
      'wget 8 http://10.0.0.3',
      'curl 0 not-a-url',
      'rm -rf /',
    ].join('\n'),
    context,
  )
  t.same(outcome, {
    status: 'ok',
    value: {
      checked: [
        { url: 'https://cache.nixos.org', reason: null },
        { url: 'https://cache.example/team', reason: 'no answer within 2 s' },
        { url: 'http://10.0.0.1:5000', reason: null },
        { url: 'http://10.0.0.2', reason: 'no connection or no answer' },
        { url: 'http://10.0.0.3', reason: null },
      ],
    },
  })
  t.match(substitutersProbe.parse('', context), { status: 'skipped', kind: 'no_data' })
})
