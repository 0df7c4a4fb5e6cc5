import {
  formatFix,
  kinds,
  formatMessage,
  kindSide,
  kindState,
  type Kind,
  type Params,
} from './kinds.ts'

/** What a person should know of a kind beyond its sentence: what is behind it, and how to see it. */
export interface RunbookText {
  readonly meaning: string
  readonly diagnosis: string
}

const staleKeyCopies =
  ' The service has copies of the keys from when it was started: after a change of a key, sudo systemctl restart builder-monitor.'

/** One entry for each kind; `builder-monitor explain KIND` prints it, docs/runbooks/ is made of it. */
export const runbook: Readonly<Record<Kind, RunbookText>> = {
  config_invalid: {
    meaning:
      'Nix parses its list of builders as a whole, for every build. One malformed line, unreadable include or bad URI makes the build hook end, and every build on this machine fails with "unexpected EOF reading a line", local ones too.',
    diagnosis:
      'builder-monitor builders names the file, the line and what is wrong with it.',
  },
  hook_broken: {
    meaning:
      'The local nix-build or its build hook ended by itself, before any builder was asked. A custom build-hook, a broken nix installation or a full local disk look like this.',
    diagnosis:
      'Run the reproduce command; try the same with --builders "" to see whether a local build works.',
  },
  ssh_missing: {
    meaning:
      'Nix reaches builders with the program ssh in the PATH of nix-daemon. Without it every remote build fails with "unable to execute \'ssh\'".',
    diagnosis: 'systemctl show nix-daemon -p Environment, and which ssh as root.',
  },
  dns: {
    meaning:
      'The name of the builder has no address here. Often it is an alias that only one user has in ~/.ssh/config, while nix-daemon runs ssh as root; or a host:port that Nix before 2.31 hands to ssh as one name.',
    diagnosis:
      'sudo ssh -G HOST shows the name that root resolves; getent ahosts NAME asks the resolver.',
  },
  key_missing: {
    meaning:
      'The machine line or ssh_config names a private key that does not exist. ssh goes on to its default keys, and those were refused too.' +
      staleKeyCopies,
    diagnosis: 'sudo ls -l on the path in the third field of the machine line.',
  },
  key_unreadable: {
    meaning:
      'The file of the private key exists but cannot be read, or is no private key.' +
      staleKeyCopies,
    diagnosis: 'sudo ssh-keygen -y -f KEY prints the public key of a good one.',
  },
  key_encrypted: {
    meaning:
      'The private key is protected by a passphrase. nix-daemon has no terminal and no agent, so nobody can unlock it.' +
      staleKeyCopies,
    diagnosis: 'sudo ssh-keygen -y -f KEY asks for the passphrase.',
  },
  key_permissions: {
    meaning: 'ssh ignores private keys that others may read.',
    diagnosis:
      'ls -l KEY: the mode must be 600 or 400, the owner the user who runs ssh (root).',
  },
  auth_denied: {
    meaning:
      'The builder answers and its host key is right, but it accepts none of our keys for this user: the public key is not in authorized_keys, the user does not exist, or sshd forbids the login. We wait 1, 5 and then 15 minutes between tries, since OpenSSH 9.8 and newer locks out addresses with failed logins, real builds included.' +
      staleKeyCopies,
    diagnosis: "The builder's sshd log tells why: journalctl -u ssh -u sshd.",
  },
  host_key_unknown: {
    meaning:
      "Nobody has told this machine the host key of the builder, and nobody is there to answer ssh's question. A pinned key in field 8 counts only for the name in the machine line: with an ssh alias set HostKeyAlias.",
    diagnosis:
      'sudo ssh-keygen -F HOST looks into known_hosts; the sentence above shows the fingerprint that the builder has.',
  },
  client_untrusted: {
    meaning:
      'A canary through the local nix-daemon is aimed with --builders, which the daemon accepts from trusted users only. For others it would choose a machine by itself and prove nothing.',
    diagnosis: 'nix store ping prints whether the daemon trusts you (Trusted: 1).',
  },
  control_master: {
    meaning:
      'ssh_config shares connections (ControlMaster), and the master is stale or belongs to another login. Nix then reads a line that was not meant for it.',
    diagnosis: 'sudo ssh -O check HOST.',
  },
  client_daemon_down: {
    meaning:
      'nix-daemon of this machine does not answer on its socket, so no user but root can start a build here, remote or not.',
    diagnosis:
      'systemctl status nix-daemon.socket nix-daemon.service; journalctl -u nix-daemon -n 50.',
  },
  client_disk_full: {
    meaning:
      'The results of remote builds are copied into the store of this machine. Without room for them a build ends with an error after all its work.',
    diagnosis: 'df -h /nix/store /nix/var/nix /tmp.',
  },
  client_offline: {
    meaning:
      'No network interface of this machine has an address but those of the loopback. All builders seem to fail at once, and none of them is at fault.',
    diagnosis: 'ip address; ip route.',
  },
  client_daemon_denied: {
    meaning:
      'nix-daemon of this machine runs but turns our user away: allowed-users leaves it out, or the socket belongs to a group that it is not in.',
    diagnosis: 'nix config show allowed-users; ls -l /nix/var/nix/daemon-socket/socket.',
  },
  client_memory: {
    meaning:
      'This machine has little memory left. ssh, nix-daemon and the build hooks may be killed in the middle of a build that runs elsewhere.',
    diagnosis: 'free -m; journalctl -k | grep -i oom.',
  },
  machines_unused: {
    meaning:
      'A machines file exists and lists builders, but the builders setting is empty, so Nix never asks them. NixOS writes it so with nix.distributedBuilds = false.',
    diagnosis: 'nix config show builders; grep -rn builders /etc/nix/nix.conf.',
  },
  daemon_restart_needed: {
    meaning:
      'nix-daemon reads nix.conf once, when it starts; its workers are forks. What was changed since then holds for nobody who builds through the daemon. The machines file is read anew for each build and needs no restart.',
    diagnosis:
      'ls -l --time-sort /etc/nix; systemctl show nix-daemon -p ActiveEnterTimestamp.',
  },
  root_ssh_config_unreadable: {
    meaning:
      "Builds through nix-daemon log in as root, with root's keys, known_hosts and ssh_config. We run as another user and may not read them, so a login that works for us may fail for builds, and the other way round. The canary through the daemon is the proof.",
    diagnosis:
      'builder-monitor check --canary --canary-mode daemon, or the check with sudo.',
  },
  client_mismatch: {
    meaning:
      "Builds of nix-daemon go out as root and in its environment, ours do not: another user, host, port, jump host or key, or a known_hosts without the key that we verified. Either our verdict or real builds go another way. Compared is what ssh -G says (the first 50 builders); Match localuser is not, nor NIX_SSHOPTS of nix-daemon where we may not read its environment. Where the daemon's own canary fails and ours works, it is told so too.",
    diagnosis:
      'sudo ssh -G HOST and ssh -G HOST side by side; sudo systemctl show nix-daemon -p Environment.',
  },
  slots_full: {
    meaning:
      'All slots (maxJobs) that this machine may use there are taken by its own builds. Builds wait; nothing is broken.',
    diagnosis: 'sudo lslocks | grep current-load.',
  },
  slot_stuck: {
    meaning:
      'A process of this machine has held a slot of the builder for longer than any build should take. With all slots stuck the builder gets no more work from here, and nobody is told.',
    diagnosis:
      'sudo lslocks | grep current-load, then ps -f on the process: a hung ssh below it is the usual cause.',
  },
  upload_lock: {
    meaning:
      'Nix uploads inputs to a builder one build at a time. Others wait for the lock, without an end where the holder hangs.',
    diagnosis: 'sudo lslocks | grep upload-lock shows the process that holds it.',
  },
  needs_openssh: {
    meaning:
      'Our own SSH library cannot log in where the real ssh can: certificates, security keys, post-quantum key exchange.',
    diagnosis: 'ssh -v HOST shows what was negotiated.',
  },
  tcp_timeout: {
    meaning:
      'Packets to the builder vanish: it is off, frozen, or a firewall drops them. Nix sets no time-out of its own, so each build waits about two minutes for the kernel.',
    diagnosis:
      "ping HOST; nc -vz HOST PORT. ConnectTimeout 5 in root's ssh_config spares builds the wait.",
  },
  tcp_unreachable: {
    meaning:
      'The network says that there is no way to the builder: it is off (no answer to ARP), or a route is missing.',
    diagnosis: 'ip route get ADDRESS; ping HOST.',
  },
  connection_lost: {
    meaning: 'The connection stood and then broke in the middle.',
    diagnosis:
      "The link, and the builder's sshd log. ServerAliveInterval in root's ssh_config keeps builds from hanging on a dead one.",
  },
  dead_address: {
    meaning:
      'The name has several addresses and the first ones do not answer. ssh tries them one after another, so every single build pays the time-out.',
    diagnosis: 'getent ahosts HOST, then ssh to each address.',
  },
  slow_link: {
    meaning: 'The builder answers, slowly. Copying inputs will be what builds wait for.',
    diagnosis: 'ping HOST; compress=true in the store URI may help.',
  },
  tcp_refused: {
    meaning:
      'The machine is up and says that nothing listens on that port: sshd is stopped, or the port is wrong.',
    diagnosis: 'On the builder: systemctl status ssh sshd; ss -ltn.',
  },
  not_ssh: {
    meaning:
      'Something listens there that does not speak SSH: a web server, a proxy, another service on that port.',
    diagnosis: 'nc HOST PORT prints its first words.',
  },
  kex_timeout: {
    meaning:
      'TCP connects and sshd greets, but its next packets do not come. They are the first large ones: where some hop drops what is larger than its MTU and the ICMP that says so is filtered (VPN, PPPoE, tunnels), exactly this happens. A machine that is out of memory or entropy may also stop here.',
    diagnosis:
      'ssh -vvv HOST stands still after "expecting SSH2_MSG_KEX_ECDH_REPLY"; tracepath HOST shows the MTU of the way.',
  },
  banner_timeout: {
    meaning:
      'The connection is accepted and then nothing comes: a frozen sshd, a tarpit, a machine out of memory or processes.',
    diagnosis: "The builder's console; a restart of sshd often helps.",
  },
  sshd_closed: {
    meaning:
      "sshd hangs up before the login: penalties for failed logins (OpenSSH 9.8 and newer), a proxy without a backend, or a crash of sshd's children.",
    diagnosis: 'journalctl -u ssh -u sshd on the builder.',
  },
  kex_mismatch: {
    meaning:
      'The two sides share no algorithm for key exchange, host key, cipher or MAC: one of them is much older or very strict.',
    diagnosis: 'sudo ssh -v HOST prints both offers.',
  },
  nologin: {
    meaning:
      'The account exists and its shell is nologin, which prints a sentence where Nix expects its protocol.',
    diagnosis: 'getent passwd USER on the builder.',
  },
  shell_noise: {
    meaning:
      'A start-up file of the remote shell prints to standard output (a greeting, a locale warning). Those bytes stand where the protocol should, and every build fails with "protocol mismatch".',
    diagnosis: 'ssh HOST true must print nothing.',
  },
  protocol_mismatch: {
    meaning:
      "The builder speaks one of Nix's protocols, but not that of the URI: typically a forced command nix-daemon --stdio behind ssh://, or nix-store --serve behind ssh-ng://.",
    diagnosis: 'The authorized_keys line of our key on the builder.',
  },
  protocol: {
    meaning:
      'What came over the connection violates the protocol (absurd lengths, unknown tags). The connection was dropped at the byte that is named.',
    diagnosis: 'The versions of both sides, and what else may write into that stream.',
  },
  nix_missing: {
    meaning:
      'The login works, but there is no Nix in the PATH of a non-interactive shell. Frequent on macOS, where only login shells get it.',
    diagnosis: 'ssh HOST "command -v nix-daemon nix-store".',
  },
  nix_not_executable: {
    meaning: 'Nix is there, and this user may not execute it.',
    diagnosis: 'ls -lL on the program, and noexec mounts.',
  },
  nix_version: {
    meaning:
      'The two Nix versions have no protocol version in common, or the store there was written by a newer Nix.',
    diagnosis: 'nix --version on both machines.',
  },
  daemon_down: {
    meaning:
      "The login works, and nothing answers on nix-daemon's socket. After a crash loop the socket unit gives up (service-start-limit-hit) until it is reset. Over ssh:// Nix notices only when the build was accepted already, and the build fails.",
    diagnosis: 'systemctl status nix-daemon.socket nix-daemon.service on the builder.',
  },
  daemon_frozen: {
    meaning:
      'nix-daemon accepts the connection and never answers. Builds hang without an end, since Nix has no time-out here.',
    diagnosis:
      'ps and cat /proc/PID/stack on the builder; a stopped or swapping process.',
  },
  daemon_denied: {
    meaning:
      'nix-daemon closes the door to this user: allowed-users, the group of the socket (nix-users on Debian), or the build group.',
    diagnosis:
      'ls -ld /nix/var/nix/daemon-socket; nix show-config | grep users, on the builder.',
  },
  daemon_crash: {
    meaning:
      'The conversation ends in the middle, and nothing says why. A full disk and the OOM killer look like this; where our readings show one of them, it is named instead.',
    diagnosis: 'journalctl -u nix-daemon on the builder.',
  },
  disk_full: {
    meaning:
      'There is no space for a build to be registered. A full daemon cannot collect garbage for users any more: only root can.',
    diagnosis: 'df -h /nix/store /tmp on the builder.',
  },
  inodes_full: {
    meaning: 'The filesystem has space but no inodes: a store is many small files.',
    diagnosis: 'df -i /nix/store on the builder.',
  },
  store_read_only: {
    meaning:
      "The store's database cannot be written. Nix 2.34 fails at once, older ones hang. Filesystems turn read-only after errors of the disk. (NixOS mounts /nix/store itself read-only, which is normal and not meant here.)",
    diagnosis: 'dmesg, and grep /nix /proc/mounts, on the builder.',
  },
  copy_failed: {
    meaning:
      'The builder was reached, but inputs could not be brought there or outputs back.',
    diagnosis: 'The evidence; nix copy of one path by hand.',
  },
  build_failed: {
    meaning:
      'Our canary writes one line into one file, and that failed: the sandbox, the build users or the store there are broken.',
    diagnosis: 'The log in the evidence, and journalctl -u nix-daemon on the builder.',
  },
  build_timeout: {
    meaning:
      "A build of no work at all did not end within a minute. Nix's own --timeout does not reach remote builds.",
    diagnosis: 'The sentence says in which phase it hangs.',
  },
  oom: {
    meaning:
      "The kernel killed the build for lack of memory: of the machine, or of nix-daemon's own limit (MemoryMax).",
    diagnosis: 'journalctl -k | grep -i oom on the builder.',
  },
  exec_format: {
    meaning:
      'The builder advertises a system whose programs it cannot run: emulation (binfmt) is missing.',
    diagnosis: 'ls /proc/sys/fs/binfmt_misc on the builder.',
  },
  remote_config_invalid: {
    meaning:
      "A line of the builder's nix.conf (or of a file that it includes) is no setting, or its value is none. Every Nix program there ends with it at once, nix-daemon --stdio and nix-store --serve included; the running daemon has read the file before and goes on until its next start.",
    diagnosis: 'nix show-config on the builder prints the same error.',
  },
  builds_disabled: {
    meaning:
      'max-jobs in the builder\'s nix.conf is 0. There it does not limit how many builds are taken (each comes over a connection of its own), but 0 forbids every one of them: "unable to start any build", "local builds are disabled". Often a nix.conf of a client was copied to the builder.',
    diagnosis:
      'grep -r max-jobs /etc/nix on the builder; nix config show max-jobs (before 2.20: nix show-config).',
  },
  system_missing: {
    meaning:
      "The machine line advertises a system that the builder's Nix does not build. Nix sends builds there, and they fail.",
    diagnosis: 'nix show-config | grep -E "^(system|extra-platforms)" on the builder.',
  },
  not_trusted: {
    meaning:
      'Nix on the builder does not trust our user. Builds whose inputs came from this machine unsigned are refused, while tiny builds without inputs may still work: that is why our canary brings an unsigned input along. Trusted users are root-equivalent on the builder.',
    diagnosis: 'nix show-config | grep trusted-users on the builder.',
  },
  feature_missing: {
    meaning:
      "The machine line advertises a feature that the builder's Nix does not have. Builds that need it are sent there and fail; others work.",
    diagnosis: 'nix show-config | grep system-features on the builder.',
  },
  below_min_free: {
    meaning:
      "The store has less space than the builder's own min-free. Nix collects garbage during builds until max-free; when it stays below, there is nothing left to delete or max-free is too small.",
    diagnosis:
      'nix show-config | grep -E "m(in|ax)-free" and nix-store --gc --print-dead | wc -l on the builder.',
  },
  sshd_throttled: {
    meaning:
      'sshd turns logins away because too many are in progress (MaxStartups, default 10:30:100), or because this address is being penalised. Real builds are turned away just the same.',
    diagnosis: 'journalctl -u ssh on the builder: "drop connection".',
  },
  gc_wait: {
    meaning: 'A garbage collection holds the lock that builds need. It ends by itself.',
    diagnosis: 'ps -ef | grep gc on the builder.',
  },
  forced_command: {
    meaning:
      'The key is limited to one command (restrict,command="nix-daemon --stdio"). That is good practice: builds work, and we cannot read disk and memory.',
    diagnosis: 'The authorized_keys line on the builder.',
  },
  no_shell: {
    meaning:
      'The account gives no shell that could run our readings. Builds are not touched by that.',
    diagnosis: 'ssh HOST true.',
  },
  clock_skew: {
    meaning:
      'The clocks of both machines differ. Certificates, timestamps and make-like builds suffer.',
    diagnosis: 'date on both machines.',
  },
  rebooted: {
    meaning: 'The builder was restarted since we last looked.',
    diagnosis: 'last reboot on the builder.',
  },
  host_key_changed: {
    meaning:
      'The builder shows another host key than the one in known_hosts. Either it was reinstalled, or another machine answers in its place and would get our builds. Find out before you forget the old key.',
    diagnosis:
      "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub on the builder's console, against the fingerprint in the sentence.",
  },
  host_key_mismatch: {
    meaning:
      'The builder shows another host key than the one pinned in field 8 of its machine line. The same two explanations as for a changed key.',
    diagnosis: 'As for host_key_changed; the pinned one: base64 -d of field 8.',
  },
  host_key_revoked: {
    meaning:
      'The key that the builder shows is marked @revoked in a known_hosts file here: somebody declared it compromised.',
    diagnosis: 'The file and line in the sentence.',
  },
  certificate_expired: {
    meaning:
      'An SSH certificate, of the host or of our user, is not valid any more (or not yet).',
    diagnosis: 'ssh-keygen -L -f CERTIFICATE.',
  },
  certificate_expires: {
    meaning:
      'An SSH certificate, of our user or of the host, ends within three days. After that nobody gets in with it. Certificates of hosts are only seen where the login goes through OpenSSH, which is where they decide.',
    diagnosis:
      'ssh-keygen -L -f CERTIFICATE; nix_builder_credential_expiry_timestamp_seconds has the time.',
  },
  host_key_unpinned: {
    meaning:
      "ssh is configured to accept any host key (StrictHostKeyChecking no), so nobody would notice another machine in the builder's place.",
    diagnosis: 'sudo ssh -G HOST | grep -i stricthostkey.',
  },
  internal: {
    meaning: 'A bug of builder-monitor. The builder may be well.',
    diagnosis: 'The evidence holds the trace; please report it.',
  },
  unclassified: {
    meaning: 'Something failed with words that we do not know.',
    diagnosis: 'The evidence; please report it, so that it gets a name.',
  },
  asleep: {
    meaning:
      'You told us that this builder may sleep (expect: "asleep"), and it does not answer.',
    diagnosis: 'Nothing to do. Builds that choose it wait for its time-out all the same.',
  },
  drained: {
    meaning:
      'You told us that this builder is out of service (drained). It is not probed. Nix still uses it while its line is in the list.',
    diagnosis: 'The builders section of our configuration.',
  },
  dependency_failed: {
    meaning: 'A rung below this one is broken, so this question was not asked.',
    diagnosis: 'The rung that is named.',
  },
  not_requested: {
    meaning: 'This question was not asked for.',
    diagnosis: 'check --canary asks it.',
  },
  no_local_nix: {
    meaning:
      'Canaries are sent by the local nix-build, and there is none in PATH. The builder is asked directly instead.',
    diagnosis: 'which nix-build.',
  },
  not_ssh_store: {
    meaning:
      'This store is a local path, a socket, or the bare name localhost, which Nix does not reach over SSH.',
    diagnosis: 'builder-monitor builders.',
  },
  no_data: {
    meaning:
      'The builder did not answer this question, or not in time. Not measured is neither good nor bad.',
    diagnosis: 'check again; a slow link or a shell without the usual tools.',
  },
}

const placeholders: Params = {
  host: 'HOST',
  user: 'USER',
  dest: 'USER@HOST',
  port: 'PORT',
  key: 'KEY',
  ssh: 'sudo ssh -i KEY',
  uri: 'ssh-ng://USER@HOST',
  scheme: 'ssh-ng',
  system: 'SYSTEM',
  program: 'nix-daemon',
  address: 'ADDRESS',
  dead: 'ADDRESS',
  missing: 'NAME',
  offered: 'NAMES',
  available: '1.0 GiB',
  minFree: '5.0 GiB',
  path: '/nix/store',
  where: 'FILE:LINE',
  knownAs: 'HOST',
  waitsFor: 'login',
  total: '16 GiB',
  file: '/etc/nix/machines',
  files: '/root/.ssh/config',
}

/** For sentences that say something else where they know more. */
const extraPlaceholders: Readonly<Partial<Record<Kind, Params>>> = {
  slot_stuck: { slots: 'N', hours: '24', pid: 'PID' },
}
const kindPlaceholders = (kind: Kind): Params => ({
  ...placeholders,
  ...extraPlaceholders[kind],
})

/** One entry as Markdown, which reads well in a terminal too. */
export const renderRunbook = (kind: Kind): string =>
  [
    `# ${kind}`,
    '',
    `> ${formatMessage(kind, kindPlaceholders(kind))}`,
    '',
    `Side: ${kindSide(kind)}. Means: ${{ down: 'the builder is down', degraded: 'the builder is degraded', info: 'nothing is broken' }[kindState(kind)]}.`,
    '',
    '## What it means',
    '',
    runbook[kind].meaning,
    '',
    '## How to see it',
    '',
    runbook[kind].diagnosis,
    '',
    '## How to mend it',
    '',
    formatFix(kind, kindPlaceholders(kind)),
    '',
    '## How to silence it',
    '',
    ...renderSilencing(kind),
    '',
  ].join('\n')

/** Alerts that come from one kind; every other kind that takes a builder down is NixBuilderDown. */
const alertByKind: Readonly<Partial<Record<Kind, string>>> = {
  host_key_changed: 'NixBuilderHostKeyChanged',
  below_min_free: 'NixBuilderGCOverdue',
  certificate_expires: 'NixBuilderCredentialExpires',
  slot_stuck: 'NixBuilderSlotStuck',
  clock_skew: 'NixBuilderClockSkew',
}

const renderSilencing = (kind: Kind): readonly string[] => {
  const alert =
    alertByKind[kind] ?? (kindState(kind) === 'down' ? 'NixBuilderDown' : null)
  if (alert === null) return ['No alert comes from it.']
  return [
    `[${alert}](${alert}.md) comes from it. While it is being mended:`,
    '',
    '```sh',
    `amtool silence add --duration=2h --comment='known' alertname=${alert} builder=NAME`,
    '```',
    '',
    'A builder that is out of service on purpose is told so in /etc/builder-monitor/config.json: it is not probed then, and no alert',
    'comes from it. `builder-monitor reload` takes that over.',
    '',
    '```json',
    '{ "builders": { "NAME": { "drained": true } } }',
    '```',
  ]
}

/** The list of all pages. */
export const renderRunbookIndex = (): string =>
  [
    '# Runbooks',
    '',
    'One page for each kind of trouble, by whose side it is on. `builder-monitor explain KIND` prints the same.',
    'Made from the code by `npm run docs`.',
    ...(['client', 'network', 'remote', 'security', 'none'] as const).flatMap(side => [
      '',
      `## ${side}`,
      '',
      ...(Object.keys(kinds) as Kind[])
        .filter(kind => kindSide(kind) === side)
        .map(
          kind =>
            `- [${kind}](${kind}.md): ${formatMessage(kind, kindPlaceholders(kind))}`,
        ),
    ]),
    '',
  ].join('\n')
