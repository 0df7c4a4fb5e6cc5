/** After the login: the account, Nix and its daemon. */
import { always, down, healthy, type Expected, type Row } from './row.ts'

/** Held up, and nobody is broken: the canary says for what it waits, or it got through all the same. */
const waits = (kind: RegExp): Expected => ({
  state: 'healthy',
  kind: null,
  also: (t, { name, probes }) => {
    const { status, kind: found } = probes.canary ?? {}
    if (status === 'ok') return
    t.equal(status, 'busy', `${name}: the canary waits`)
    t.match(found, kind, `${name}: for what it waits`)
  },
})

export const nixRows: readonly Row[] = [
  {
    name: 'a shell that prints',
    faults: ['noisy-shell'],
    expect: always(down('shell_noise', 'remote', /only in interactive shells/)),
  },
  {
    name: 'no nix in PATH',
    faults: ['no-nix'],
    expect: always(down('nix_missing', 'remote', /remote-program=/)),
  },
  {
    name: 'a nix that may not be executed',
    faults: ['nix-noexec'],
    expect: always(down('nix_not_executable', 'remote', /permissions/)),
  },
  {
    name: 'nix-daemon stopped',
    faults: ['daemon-stop'],
    expect: always(down('daemon_down', 'remote', /restart nix-daemon\.socket/)),
  },
  {
    name: 'nix-daemon stopped and its socket gone',
    faults: ['daemon-nosocket'],
    expect: always(down('daemon_down', 'remote', /restart nix-daemon\.socket/)),
  },
  {
    name: 'nix-daemon frozen',
    faults: ['daemon-freeze'],
    expect: always(down('daemon_frozen', 'remote', /restart nix-daemon\.socket/)),
  },
  {
    name: 'nix that ends in the middle of the handshake',
    faults: ['daemon-crash'],
    expect: always(down('daemon_crash', 'remote', /journalctl -u nix-daemon/)),
  },
  {
    name: 'a daemon that does not allow the user',
    faults: ['not-allowed'],
    expect: always(down('daemon_denied', 'remote', /Add remotebuild to allowed-users/)),
  },
  {
    name: 'a remote-program that is not there',
    line: ({ scheme }) => ({
      query: `remote-program=/nowhere/${scheme === 'ssh' ? 'nix-store' : 'nix-daemon'}`,
    }),
    expect: always(down('nix_missing', 'remote', /remote-program/)),
  },
  {
    name: 'max-jobs = 0 on the builder',
    faults: ['no-jobs'],
    expect: always(down('builds_disabled', 'remote', /max-jobs = auto/)),
  },
  {
    name: 'a malformed nix.conf on the builder',
    faults: ['nix-conf'],
    expect: always(down('remote_config_invalid', 'remote', /nix\.conf/)),
  },
  // The first bytes tell what is printed, and no client sees by what
  {
    name: 'a forced command of sshd that is not Nix',
    faults: ['force-command'],
    expect: always(down('shell_noise', 'remote', /true \| head/)),
  },
  {
    name: 'no home directory',
    faults: ['no-home'],
    expect: always(healthy),
  },
  {
    name: 'builds that are too slow for a timeout of the builder',
    faults: ['build-timeout'],
    expect: always(down('build_timeout', 'remote', /journalctl -u nix-daemon/)),
  },
  {
    name: 'a build that is killed for lack of memory',
    faults: ['build-oom'],
    expect: always(down('oom', 'remote', /MemoryMax/)),
  },
  {
    name: 'build users that are all taken',
    faults: ['users-busy'],
    isLong: true,
    // The serve protocol does not say what a build waits for; the locks over there do
    expect: always(waits(/^slots_full$/)),
  },
  {
    name: 'a lock of the garbage collector that nobody gives back',
    faults: ['gc-lock'],
    isLong: true,
    // No Nix tells its client; the lock over there does, and 2.8 does not mind it
    expect: always(waits(/^gc_wait$/)),
  },
  {
    name: 'garbage collections all the time',
    faults: ['gc-run'],
    expect: always(healthy),
  },
]
