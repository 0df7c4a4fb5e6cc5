import t from 'tap'
import fc from 'fast-check'
import { classify } from '../../src/diagnosis/classify.ts'

/** Output of Nix 2.8, 2.26, 2.34 and OpenSSH 9.2 and 10 for injected faults, lines in order. */
const printed: readonly [kind: string, text: string][] = [
  [
    'builder_hook_failed',
    "post-build-hook: no\nerror: build of '/nix/store/H-canary.drv' on 'ssh://remotebuild@b1' failed: error: program '/bin/false' failed with exit code 1\nerror: builder for '/nix/store/H-canary.drv' failed with exit code 1",
  ],
  [
    'builder_hook_failed',
    "error: build of '/nix/store/H-canary.drv' on 'ssh-ng://remotebuild@b3' failed: error: program \"/bin/false\" failed with exit code 1\nerror: Cannot build '/nix/store/H-canary.drv'.\n  Reason: builder failed with exit code 1.",
  ],
  [
    'setting_broken',
    "copying path '/nix/store/H-canary' from 'ssh-ng://remotebuild@b3'...\nerror: program \"/lab/share/ha\" failed with exit code 3",
  ],
  [
    'setting_broken',
    "error: client requested repeating builds, but this is not currently implemented\nerror: unexpected end-of-file\nerror: builder for '/nix/store/H-canary.drv' failed with exit code 1",
  ],
  [
    'setting_broken',
    "error: building derivation '/nix/store/H-canary.drv' killed after writing more than 1 bytes of log output",
  ],
  [
    'key_permissions',
    "@         WARNING: UNPROTECTED PRIVATE KEY FILE!          @\nPermissions 0644 for '/root/badkey' are too open.\nLoad key \"/root/badkey\": bad permissions\nremotebuild@10.88.0.2: Permission denied (publickey).\ncannot build on 'ssh-ng://remotebuild@10.88.0.2': error: failed to start SSH connection to 'remotebuild@10.88.0.2'",
  ],
  [
    'disk_full',
    "building '/nix/store/H-canary.drv' on 'ssh-ng://remotebuild@10.88.0.1'...\ndd: error writing '/nix/store/H-canary/big': No space left on device\nerror: build of '/nix/store/H-canary.drv' on 'ssh-ng://remotebuild@10.88.0.1' failed: error: writing to file: No space left on device",
  ],
  [
    'tcp_timeout',
    "ssh: connect to host 10.88.0.1 port 22: Connection timed out\ncannot build on 'ssh-ng://x': error: cannot open connection to remote store 'ssh-ng://x': error: unexpected end-of-file",
  ],
  [
    'tcp_timeout',
    "cannot build on 'ssh://remotebuild@10.88.0.3': error: failed to start SSH connection to '10.88.0.3': ssh: connect to host 10.88.0.3 port 22: Connection timed out",
  ],
  [
    'tcp_refused',
    "ssh: connect to host 10.88.0.2 port 22: Connection refused\ncannot build on 'ssh-ng://x': error: failed to start SSH connection to 'x'\nFailed to find a machine for remote build!",
  ],
  ['tcp_unreachable', 'ssh: connect to host 10.88.0.2 port 22: No route to host'],
  [
    'ssh_option',
    "Cannot execute command-line and remote command.\ncannot build on 'ssh-ng://remotebuild@b3': error: failed to start SSH connection to 'b3'",
  ],
  [
    'ssh_option',
    "bind 10.99.9.9: Cannot assign requested address\nssh: connect to host b1 port 22: failure\ncannot build on 'ssh-ng://remotebuild@b1': error: unexpected end-of-file",
  ],
  [
    'ssh_option',
    'getifaddrs: nosuch0: no suitable addresses\nssh: connect to host b1 port 22: failure',
  ],
  [
    'ssh_option',
    'mm_receive_fd: recvmsg: expected received 1 got 0\nproxy dialer did not pass back a connection',
  ],
  [
    'ssh_option',
    'bind [127.0.0.1]:45001: Address already in use\nchannel_setup_fwd_listener_tcpip: cannot listen to port: 45001\nCould not request local forwarding.',
  ],
  ['ssh_option', 'Error: remote port forwarding failed for listen port 22'],
  ['ssh_option', 'Tunnel device open failed.\nCould not request tunnel forwarding.'],
  [
    'ssh_option',
    'unix_listener: cannot bind to path /tmp/taken.sock: Address already in use\nCould not request local forwarding.',
  ],
  [
    'ssh_option',
    'unix_listener: cannot bind to path /nonexistent/cm-9d17.pPrZgsvtBioCgNwM: No such file or directory',
  ],
  [
    'ssh_option',
    'KnownHostsCommand-ORDER /bin/false failed, status 1\nKnownHostsCommand failed',
  ],
  [
    'ssh_option',
    'Error checking host key ED25519 SHA256:B+SE in revoked keys file /nonexistent/krl: No such file or directory\nHost key verification failed.',
  ],
  ['bad_hook_reply', "error: bad hook reply 'Authorized use only #'"],
  [
    'certificate_principal',
    'Certificate invalid: name is not a listed principal\nHost key verification failed.',
  ],
  [
    'key_signing_failed',
    'sign_and_send_pubkey: signing failed for ED25519-SK "/tmp/sk": device not found\nremotebuild@b2: Permission denied (publickey).',
  ],
  [
    'key_signing_failed',
    'sign_and_send_pubkey: signing failed for RSA "me@here" from agent: agent refused operation\nremotebuild@b2: Permission denied (publickey).',
  ],
  [
    'auth_check_required',
    '# Tailscale SSH requires an additional check.\n# To authenticate, visit: https://login.tailscale.com/a/1\nConnection closed by 100.64.0.1 port 22',
  ],
  [
    'auth_denied',
    'tailscale: tailnet policy does not permit you to SSH as user "root"\nConnection closed by 100.64.0.1 port 22',
  ],
  [
    'forwarding_forbidden',
    'channel 0: open failed: administratively prohibited: open failed\nstdio forwarding failed\nConnection closed by UNKNOWN port 65535',
  ],
  [
    'connection_lost',
    'Received disconnect from 10.0.0.1 port 22:11: Go away\nDisconnected from 10.0.0.1 port 22',
  ],
  [
    'sessions_forbidden',
    "channel 0: open failed: connect failed: open failed\ncannot build on 'ssh-ng://remotebuild@b3': error: cannot open connection to remote store 'ssh-ng://remotebuild@b3': error: Nix daemon disconnected unexpectedly (maybe it crashed?)",
  ],
  ['ssh_option', 'jumphost loop via gate\nConnection closed by UNKNOWN port 65535'],
  [
    'host_key_revoked',
    'Host key ED25519 SHA256:B+SE revoked by file /lab/keys/host_b3.pub\nHost key verification failed.',
  ],
  [
    'ssh_config_invalid',
    "/root/.ssh/config line 2: Bad SSH2 cipher spec 'nosuch'.\n/root/.ssh/config: terminating, 1 bad configuration options",
  ],
  [
    'ssh_config_invalid',
    "cannot build on 'ssh://remotebuild@b3': error: failed to start SSH connection to 'b3': /root/.ssh/config: line 2: Bad configuration option: nosuchoption",
  ],
  [
    'ssh_config_invalid',
    "Can't open user config file /nonexistent/config: No such file or directory",
  ],
  ['ssh_config_invalid', 'Bad owner or permissions on /root/.ssh/config'],
  [
    'ssh_config_invalid',
    "error:\n… while splitting NIX_SSHOPTS '-o 'ConnectTimeout=5'\n\nerror: unterminated single quote",
  ],
  [
    'tcp_refused',
    'channel 0: open failed: connect failed: Connection refused\nstdio forwarding failed\nkex_exchange_identification: Connection closed by remote host',
  ],
  [
    'tcp_timeout',
    'channel 0: open failed: connect failed: Connection timed out\nstdio forwarding failed',
  ],
  [
    'tcp_unreachable',
    'channel 0: open failed: connect failed: No route to host\nstdio forwarding failed',
  ],
  [
    'dns',
    'channel 0: open failed: connect failed: Name or service not known\nstdio forwarding failed',
  ],
  [
    'build_failed',
    "building '/nix/store/H-canary.drv' on 'ssh-ng://x'...\nto-stdout\nerror: build of '/nix/store/H-canary.drv' on 'ssh-ng://x' failed: builder for '/nix/store/H-canary.drv' failed with exit code 7;\n       last 2 log lines:",
  ],
  [
    'remote_config_invalid',
    "error: illegal configuration line 'this is no setting' in '/etc/nix/lab.conf'\nTry 'nix-store --help' for more information.",
  ],
  [
    'remote_config_invalid',
    "error: syntax error in configuration line 'this is no setting' in \"/etc/nix/lab.conf\"\ncannot build on 'ssh-ng://b3': error: failed to start SSH connection",
  ],
  [
    'remote_config_invalid',
    "error: setting 'min-free' has invalid value '1G'\nerror: unexpected end-of-file",
  ],
  [
    'builds_disabled',
    "error: build of '/nix/store/H.drv' on 'ssh://b1' failed: error: unable to start any build; either increase '--max-jobs' or enable remote builds.\nerror: builder for '/nix/store/H.drv' failed with exit code 1",
  ],
  [
    'builds_disabled',
    "error: build of '/nix/store/H.drv' on 'ssh-ng://b2' failed: error:\n       Unable to start any build;\n       either increase '--max-jobs' or enable remote builds.",
  ],
  [
    'builds_disabled',
    "error: build of '/nix/store/H.drv' on 'ssh://b3' failed: Cannot build '/nix/store/H.drv'.\n       Reason: local builds are disabled (max-jobs = 0)\n       Hint: set 'max-jobs' to a non-zero value\nerror: Cannot build '/nix/store/H.drv'.\n       Reason: builder failed with exit code 1.",
  ],
  [
    'build_timeout',
    "error: build of '/nix/store/H.drv' on 'ssh-ng://x' failed: building of '/nix/store/H.drv!out' from in-memory derivation timed out after 3 seconds\nerror: builder for '/nix/store/H.drv' failed with exit code 1",
  ],
  [
    'host_key_changed',
    '@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\nAdd correct host key in /root/.ssh/known_hosts to get rid of this message.\nOffending ED25519 key in /root/.ssh/known_hosts:1\nHost key for 10.88.0.1 has changed and you have requested strict checking.\nHost key verification failed.',
  ],
  [
    'host_key_mismatch',
    '@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\nOffending ED25519 key in /tmp/nix-812-0/host-key:1\nHost key verification failed.',
  ],
  [
    'host_key_unknown',
    "Host key verification failed.\ncannot build on 'ssh-ng://x': error: failed to start SSH connection to 'x'",
  ],
  [
    'daemon_down',
    "error: cannot connect to socket at '/nix/var/nix/daemon-socket/socket': Connection refused\ncannot build on 'ssh-ng://x': error: cannot open connection to remote store 'ssh-ng://x': error: unexpected end-of-file",
  ],
  [
    'daemon_crash',
    "cannot build on 'ssh-ng://x': error: cannot open connection to remote store 'ssh-ng://': error: Nix daemon disconnected unexpectedly (maybe it crashed?)",
  ],
  [
    'daemon_crash',
    'error: splicing data from daemon socket to stdout: Connection reset by peer',
  ],
  [
    'feature_missing',
    "error: build of '/nix/store/H.drv' on 'ssh-ng://x' failed: error: a 'x86_64-linux' with features {lab-nope} is required to build '/nix/store/H.drv', but I am a 'x86_64-linux' with features {benchmark, big-parallel}",
  ],
  [
    'feature_missing',
    "error: build of '/nix/store/H.drv' on 'ssh-ng://x' failed: Cannot build '/nix/store/H.drv'.\n       Reason: missing system features\n       Required features: {lab-nope}\n       Available features: {benchmark, big-parallel, lab-b3}\n       Reason: builder failed with exit code 1.",
  ],
  [
    'system_missing',
    "error: build of '/nix/store/H.drv' on 'ssh-ng://x' failed: error: a 'aarch64-linux' with features {} is required to build '/nix/store/H.drv', but I am a 'x86_64-linux' with features {benchmark}",
  ],
  [
    'banner_timeout',
    'Connection timed out during banner exchange\nConnection to 10.88.0.1 port 22 timed out',
  ],
  [
    'sshd_closed',
    "kex_exchange_identification: Connection closed by remote host\nConnection closed by 10.88.0.1 port 22\ncannot build on 'ssh-ng://x': error: unexpected end-of-file",
  ],
  ['sshd_throttled', 'Exceeded MaxStartups\r\n'],
  [
    'nix_missing',
    "bash: line 1: nix-daemon: command not found\ncannot build on 'ssh-ng://x': error: Nix daemon disconnected unexpectedly (maybe it crashed?)",
  ],
  [
    'nix_missing',
    "cannot build on 'ssh://x': error: cannot connect to '10.88.0.3': bash: line 1: nix-store: command not found",
  ],
  [
    'shell_noise',
    "cannot build on 'ssh-ng://x': error: cannot open connection to remote store 'ssh-ng://x': error: protocol mismatch, got 'Welcome to the builder'",
  ],
  [
    'shell_noise',
    "cannot build on 'ssh://x': error: 'nix-store --serve' protocol mismatch from '10.88.0.3', got 'Welcome to the builder",
  ],
  ['nologin', "error: protocol mismatch, got 'This account is currently not available."],
  [
    'protocol_mismatch',
    "cannot build on 'ssh://forced@10.88.0.3': error: cannot connect to '10.88.0.3': error: protocol mismatch",
  ],
  ['control_master', "error: protocol mismatch, got 'started\noixd'"],
  ['auth_denied', 'remotebuild@10.88.0.1: Permission denied (publickey).'],
  ['auth_method_refused', 'remotebuild@b2: Permission denied (password).'],
  [
    'auth_method_refused',
    'Authenticated using "publickey" with partial success.\nremotebuild@b2: Permission denied (publickey).',
  ],
  [
    'key_missing',
    'Warning: Identity file /nowhere not accessible: No such file or directory.\nremotebuild@10.88.0.1: Permission denied (publickey).',
  ],
  [
    'not_trusted',
    "building '/nix/store/H.drv' on 'ssh-ng://plain@10.88.0.1'...\nerror: you are not privileged to build input-addressed derivations\nerror: builder for '/nix/store/H.drv' failed with exit code 1",
  ],
  [
    'not_trusted',
    "error: cannot add path '/nix/store/H-seed' because it lacks a signature by a trusted key",
  ],
  [
    'not_trusted',
    "error: cannot add path '/nix/store/H-seed' because it lacks a valid signature",
  ],
  [
    'daemon_denied',
    'error: getting status of "/nix/var/nix/daemon-socket/socket": Permission denied',
  ],
  ['daemon_down', "error: creating directory '/nix/store/.links': Permission denied"],
  ['oom', "error: builder for '/nix/store/H.drv' failed due to signal 9 (Killed)"],
  [
    'store_read_only',
    "error: opening lock file '/nix/var/nix/db/big-lock': Read-only file system",
  ],
  ['dns', 'ssh: Could not resolve hostname builder: Name or service not known'],
  [
    'kex_mismatch',
    'Unable to negotiate with 10.0.0.1 port 22: no matching key exchange method found. Their offer: mlkem768x25519-sha256',
  ],
  [
    'config_invalid',
    "error: bad machine specification: failed to convert column #3 in a row: 'x y - z' to 'unsigned int'\nerror: unexpected EOF reading a line",
  ],
  [
    'ssh_missing',
    "cannot build on 'ssh://x': writing to file: Broken pipe: error: unable to execute 'ssh': No such file or directory",
  ],
  [
    'client_untrusted',
    "warning: ignoring the client-specified setting 'builders', because it is a restricted setting and you are not a trusted user",
  ],
  ['unclassified', 'Failed to find a machine for remote build!'],
]

t.test('classifies recorded output', async t => {
  for (const [kind, text] of printed)
    t.equal(classify(text)?.kind, kind, text.slice(0, 90))
})

t.test('the first definite line wins over later ones', async t => {
  const flood = 'error: Reason: platform mismatch\n'.repeat(5000)
  t.equal(
    classify(`ssh: connect to host b port 22: Connection refused\n${flood}`)?.kind,
    'tcp_refused',
  )
})

t.test('ignores terminal escapes', async t => {
  const found = classify(
    '\u001b[31;1merror:\u001b[0m you are not privileged to build input-addressed derivations',
  )
  t.equal(found?.kind, 'not_trusted')
})

t.test('names the missing features only', async t => {
  const found = classify(
    "build of 'x' on 'y' failed: error: a 's' with features {a, b} is required to build 'x', but I am a 's' with features {b, c}",
  )
  t.same(found?.params, { missing: 'a', offered: 'b, c' })
})

t.test('ignores messages of the local Nix about itself', async t => {
  const own =
    "error: Cannot build 'x'.\n Reason: local builds are disabled (max-jobs = 0)\n Reason: missing system features\n Required features: {a}"
  t.equal(classify(own)?.kind, 'unclassified')
  t.equal(classify(own, 'remote')?.kind, 'builds_disabled')
  t.equal(classify("Required system: 's'", 'remote')?.kind, 'system_missing')
  const late = `build of 'x' on 'y' failed: error\n${'and more\n'.repeat(5)}unable to start any build`
  t.equal(classify(late)?.kind, 'build_failed', 'another build, later')
})

t.test('returns null for unknown text', async t => {
  t.equal(classify(''), null)
  t.equal(classify('these derivations will be built:\n  /nix/store/x.drv'), null)
})

t.test('accepts any text in bounded time', async t => {
  fc.assert(
    fc.property(fc.string({ maxLength: 3000 }), text => {
      const found = classify(text)
      return found === null || found.line.length <= 2000
    }),
  )
  const started = process.cpuUsage().user
  classify("Required features: {' ".repeat(20_000))
  classify(`a '${'x'.repeat(100_000)}`)
  t.ok(
    process.cpuUsage().user - started < 2e6,
    'malicious text takes at most two seconds of CPU',
  )
})

t.test('hostile output does not stall the rules', async t => {
  const hostile = ['@', '/', ' ', "'", 'a', 'build of ', 'x@y: ', '\u00ad']
  for (const text of hostile)
    for (const chars of [2000, 256_000]) {
      const cpu = process.cpuUsage()
      classify(text.repeat(chars / text.length))
      const { user } = process.cpuUsage(cpu)
      // Two orders of magnitude above the usual time, and far below that of a quadratic rule
      t.ok(
        user < 1_000_000,
        `${JSON.stringify(text)} x ${chars}: ${user / 1000} ms of CPU`,
      )
    }
})

t.test('the innermost error of a failed build is its detail', async t => {
  const outer = "error: build of '/nix/store/H-c.drv' on 'ssh-ng://x' failed:"
  const reasons: readonly [detail: string, text: string][] = [
    [
      "the group 'nosuch' specified in 'build-users-group' does not exist",
      `${outer} error: the group 'nosuch' specified in 'build-users-group' does not exist\nerror: Cannot build '/nix/store/H-c.drv'.\n       Reason: builder failed with exit code 1.`,
    ],
    [
      'getting attributes of path "/nowhere/shell": No such file or directory',
      `${outer} error:\n              … while setting up the build environment\n\n              error: getting attributes of path "/nowhere/shell": No such file or directory\nerror: Cannot build '/nix/store/H-c.drv'.`,
    ],
    [
      'builder failed with exit code 7;',
      `${outer} builder for '/nix/store/H-c.drv' failed with exit code 7;\n       last 1 log lines:\n       > no`,
    ],
  ]
  for (const [detail, text] of reasons)
    t.match(classify(text), { kind: 'build_failed', params: { detail } })
})
