/** Faults after the login: the account, Nix and its daemon. */
import { existsSync } from 'node:fs'
import { always, down, healthy, type Expected, type Row } from './row.ts'

/** Healthy: the canary reports what it waits for, or succeeds anyway. */
const waits = (kind: RegExp): Expected => ({
  state: 'healthy',
  kind: null,
  also: (t, { name, probes }) => {
    const { status, kind: actual } = probes.canary ?? {}
    if (status === 'ok') return
    t.equal(status, 'busy', `${name}: the canary waits`)
    t.match(actual, kind, `${name}: the canary reports what it waits for`)
  },
})

/** Down, and the reason has the sentence that matters. */
const innermost = (reason: RegExp): Expected => ({
  ...down('build_failed', 'remote', /./),
  also: (t, { name, cause }) => {
    t.match(cause?.reason, reason, `${name}: the reason`)
    t.notMatch(cause?.reason, /\.drv/, `${name}: no path of a derivation`)
  },
})

export const nixRows: readonly Row[] = [
  {
    name: 'a shell that prints',
    faults: ['noisy-shell'],
    expect: always(down('shell_noise', 'remote', /only in interactive shells/)),
  },
  {
    name: 'a post-build-hook of the builder that fails',
    faults: ['setting:post-build-hook = /bin/false'],
    expect: always(down('builder_hook_failed', 'remote', /post-build-hook in nix\.conf/)),
  },
  {
    name: 'no nix in PATH',
    faults: ['no-nix'],
    expect: always(down('nix_missing', 'remote', /remote-program=/)),
  },
  {
    name: 'a nix that is not executable',
    faults: ['nix-noexec'],
    expect: always(down('nix_not_executable', 'remote', /permissions/)),
  },
  {
    name: 'nix-daemon stopped',
    faults: ['daemon-stop'],
    expect: always(
      down('daemon_down', 'remote', /stop start; do systemctl \$verb nix-daemon\.socket/),
    ),
  },
  {
    name: 'nix-daemon stopped, socket removed',
    faults: ['daemon-nosocket'],
    expect: always(
      down('daemon_down', 'remote', /stop start; do systemctl \$verb nix-daemon\.socket/),
    ),
  },
  {
    name: 'nix-daemon frozen',
    isLong: true,
    faults: ['daemon-freeze'],
    expect: always(
      down(
        'daemon_frozen',
        'remote',
        /stop start; do systemctl \$verb nix-daemon\.socket/,
      ),
    ),
  },
  {
    name: 'nix exits during the handshake',
    faults: ['daemon-crash'],
    expect: always(down('daemon_crash', 'remote', /journalctl -u nix-daemon/)),
  },
  {
    name: 'a user missing in allowed-users',
    faults: ['not-allowed'],
    expect: always(down('daemon_denied', 'remote', /Add remotebuild to allowed-users/)),
  },
  {
    name: 'a remote-program that does not exist',
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
  {
    name: 'a ForceCommand of sshd that is not Nix',
    faults: ['force-command'],
    expect: always(down('session_ended', 'remote', /echo works/)),
  },
  {
    name: 'a system without an emulator',
    faults: ['no-emulator'],
    line: () => ({ systems: 'x86_64-linux,aarch64-linux' }),
    // The kernel of the lab may have one for all namespaces
    expect: () =>
      existsSync('/proc/sys/fs/binfmt_misc/qemu-aarch64')
        ? healthy
        : {
            state: 'degraded',
            kind: 'exec_format',
            side: 'remote',
            fix: /binfmt.emulatedSystems.*qemu-user-static/,
          },
  },
  {
    name: 'a system without an emulator, through the local nix-daemon',
    faults: ['no-emulator'],
    clients: ['c3', 'c1'],
    from: { args: ['check', '--canary-mode', 'daemon', '--json'] },
    line: () => ({ systems: 'x86_64-linux,aarch64-linux' }),
    expect: () =>
      existsSync('/proc/sys/fs/binfmt_misc/qemu-aarch64')
        ? healthy
        : {
            state: 'degraded',
            kind: 'exec_format',
            side: 'remote',
            fix: /binfmt.emulatedSystems.*qemu-user-static/,
          },
  },
  {
    name: 'no home directory',
    faults: ['no-home'],
    expect: always(healthy),
  },
  {
    name: 'a build-dir that cannot be created',
    on: ['b3'], // the setting is new in 2.30
    faults: ['setting:build-dir = /etc/passwd/builds'],
    expect: always(innermost(/\/etc\/passwd/)),
  },
  {
    name: 'a build-users-group that does not exist',
    faults: ['setting:build-users-group = nosuchgroup'],
    expect: always(innermost(/nosuchgroup/)),
  },
  {
    name: 'a build-users-group without members',
    faults: ['setting:build-users-group = nogroup'],
    expect: always(innermost(/nogroup/)),
  },
  {
    name: 'a log limit of one byte',
    faults: ['setting:max-build-log-size = 1'],
    expect: always(healthy),
  },
  {
    name: 'a sandbox path that does not exist',
    faults: ['setting:sandbox = true\nsandbox-paths = /nowhere/shell'],
    expect: always(innermost(/\/nowhere\/shell/)),
  },
  {
    name: 'builds slower than the timeout of the builder',
    faults: ['build-timeout'],
    expect: always(down('build_timeout', 'remote', /journalctl -u nix-daemon/)),
  },
  {
    name: 'a build killed by the kernel, out of memory',
    faults: ['build-oom'],
    expect: always(down('oom', 'remote', /MemoryMax/)),
  },
  {
    name: 'all build users in use',
    faults: ['users-busy'],
    isLong: true,
    noBuild: 'busy is not broken: a build waits for its turn',
    // The serve protocol does not report what a build waits for; the builder's locks do
    expect: always(waits(/^slots_full$/)),
  },
  {
    name: 'a lock of the garbage collector that is never released',
    faults: ['gc-lock'],
    isLong: true,
    noBuild: 'busy is not broken: a build waits for the end of the garbage collection',
    // Nix does not report it to the client; the builder's lock does. Nix 2.8 ignores the lock
    expect: always(waits(/^gc_wait$/)),
  },
  {
    name: 'continuous garbage collections',
    faults: ['gc-run'],
    expect: always(healthy),
  },
]
