/**
 * The closed table of what can be wrong. A kind owns its side (who must act), the state that it means, its sentence
 * and its hint; a probe only supplies the parameters. Every kind has a section of the same name in docs/runbooks.
 *
 * Parameters that are always there (see `builderParams`): `dest` (user@host), `host`, `user`, `port`, `ssh` (an ssh
 * command line up to the destination), `key` (identity file or `-`), `uri`, `system`.
 */
export type Side = 'client' | 'network' | 'remote' | 'security' | 'none'

/** The state that a kind means: info kinds (busy, forced_command ...) change no verdict. */
export type KindState = 'down' | 'degraded' | 'info'

export type Params = Readonly<Record<string, string>>

interface KindEntry {
  readonly side: Side
  readonly state: KindState
  /** One sentence, present tense, no full stop. */
  readonly reason: (p: Params) => string
  /** What to do, with a command that can be pasted. */
  readonly hint: (p: Params) => string
}

/** A parameter, or a dash where it was not supplied. */
const v = (p: Params, name: string): string => p[name] ?? '-'
/** A detail in brackets, or nothing. */
const detail = (p: Params): string => (p['detail'] ? ` (${p['detail']})` : '')

const restartDaemon =
  'sudo systemctl restart nix-daemon.socket nix-daemon.service (macOS: sudo launchctl kickstart -k system/org.nixos.nix-daemon)'
const collectGarbage = (p: Params): string =>
  `${v(p, 'ssh')} ${v(p, 'dest')} sudo nix-collect-garbage -d`

export const kinds = {
  // ------------------------------------------------------------------------------------------ client, down
  config_invalid: {
    side: 'client',
    state: 'down',
    reason: p =>
      `a malformed builders list makes every build on this machine fail${detail(p)}`,
    hint: p =>
      `Mend the line named above (${v(p, 'where')}), then look again: builder-monitor builders`,
  },
  hook_broken: {
    side: 'client',
    state: 'down',
    reason: p => `Nix's own build hook ends before it answers${detail(p)}`,
    hint: () =>
      'Look for what stopped it: builder-monitor builders; nix show-config | grep build-hook',
  },
  ssh_missing: {
    side: 'client',
    state: 'down',
    reason: p =>
      p['whose']
        ? `there is no ssh program in the PATH of ${p['whose']}, so it cannot log in`
        : 'there is no ssh program in PATH, so neither Nix nor we can log in',
    hint: () =>
      'Install OpenSSH where nix-daemon finds it: sudo apt-get install openssh-client (NixOS: programs.ssh.package)',
  },
  dns: {
    side: 'client',
    state: 'down',
    reason: p => `the host name ${v(p, 'host')} has no address${detail(p)}`,
    hint: p =>
      `Check the name, or add it to /etc/hosts or root's ~/.ssh/config: getent ahosts ${v(p, 'host')}`,
  },
  key_missing: {
    side: 'client',
    state: 'down',
    reason: p => `the private key ${v(p, 'key')} does not exist`,
    hint: p =>
      `Create it or mend the third field of the machine line: sudo ssh-keygen -t ed25519 -N '' -f ${v(p, 'key')}`,
  },
  key_unreadable: {
    side: 'client',
    state: 'down',
    reason: p => `the private key ${v(p, 'key')} cannot be used${detail(p)}`,
    hint: p =>
      `Check who may read it and that it is a private key: sudo ssh-keygen -y -f ${v(p, 'key')}`,
  },
  key_encrypted: {
    side: 'client',
    state: 'down',
    reason: p =>
      `the private key ${v(p, 'key')} has a passphrase, and nobody is there to type it`,
    hint: p => `Remove the passphrase: sudo ssh-keygen -p -N '' -f ${v(p, 'key')}`,
  },
  key_permissions: {
    side: 'client',
    state: 'down',
    reason: p =>
      `ssh refuses the private key ${v(p, 'key')} because others may read it${detail(p)}`,
    hint: p => `sudo chmod 600 ${v(p, 'key')}`,
  },
  auth_denied: {
    side: 'client',
    state: 'down',
    reason: p =>
      `${v(p, 'host')} does not accept our key for ${v(p, 'user')}${detail(p)}`,
    hint: p =>
      `Put the public key into ${v(p, 'user')}'s authorized_keys on ${v(p, 'host')}: sudo ssh-copy-id -i ${v(p, 'key')} ${v(p, 'dest')}; if it is there, the account may be locked or expired (chage -l ${v(p, 'user')}) or others may write that file: sudo journalctl -u ssh -u sshd tells`,
  },
  host_key_unknown: {
    side: 'client',
    state: 'down',
    reason: p => `the host key of ${v(p, 'host')} is not known here${detail(p)}`,
    hint: p =>
      `Compare the fingerprint on the builder (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub), then as root: ${v(p, 'ssh')} ${v(p, 'dest')} true; or pin it in field 8 of the machine line`,
  },
  client_untrusted: {
    side: 'client',
    state: 'down',
    reason: p =>
      p['detail']
        ? `the local nix-daemon cannot be asked to build${detail(p)}`
        : 'the local nix-daemon ignores our builders setting because it does not trust our user',
    hint: () =>
      'Use the private canary (the default), or add this user to trusted-users of this machine in /etc/nix/nix.conf',
  },
  control_master: {
    side: 'client',
    state: 'down',
    reason: p => `a stale ssh control master stands in the way${detail(p)}`,
    hint: p =>
      `Close it: ${v(p, 'ssh')} -O exit ${v(p, 'dest')}; and set ControlMaster no for ${v(p, 'host')} in root's ~/.ssh/config`,
  },
  client_daemon_down: {
    side: 'client',
    state: 'down',
    reason: p => `nix-daemon of this machine does not answer${detail(p)}`,
    hint: () => restartDaemon,
  },
  client_disk_full: {
    side: 'client',
    state: 'down',
    reason: p =>
      `this machine has no room for the results of builds: ${v(p, 'available')} left on ${v(p, 'path')}`,
    hint: p => `sudo nix-collect-garbage -d; df -h ${v(p, 'path')}`,
  },
  client_offline: {
    side: 'client',
    state: 'down',
    reason: () => 'this machine has no network address but its own',
    hint: () => 'Bring the network up: ip address; ip route',
  },
  // -------------------------------------------------------------------------------------- client, the rest
  client_daemon_denied: {
    side: 'client',
    state: 'degraded',
    reason: p => `nix-daemon of this machine does not let us in${detail(p)}`,
    hint: () =>
      'Builds of others are not hurt; to watch it add this user to allowed-users in /etc/nix/nix.conf (Debian: sudo usermod -aG nix-users builder-monitor)',
  },
  client_memory: {
    side: 'client',
    state: 'degraded',
    reason: p =>
      `this machine is short of memory: ${v(p, 'available')} of ${v(p, 'total')} left`,
    hint: () => 'See what takes it: ps -eo rss,pid,args --sort=-rss | head',
  },
  machines_unused: {
    side: 'client',
    state: 'degraded',
    reason: p =>
      `${v(p, 'file')} lists builders, but the builders setting is empty, so none is used`,
    hint: p =>
      `Take the line builders = out of nix.conf (${v(p, 'where')}; NixOS: nix.distributedBuilds = true), then ${restartDaemon}`,
  },
  daemon_restart_needed: {
    side: 'client',
    state: 'degraded',
    reason: p =>
      `${v(p, 'file')} is newer than the running nix-daemon, which read it only once at its start`,
    hint: () => restartDaemon,
  },
  parity_unknown: {
    side: 'client',
    state: 'info',
    reason: p =>
      `builds go out as root, whose ssh settings we may not read (${v(p, 'files')}), so root may log in otherwise than we do`,
    hint: () =>
      "Compare where it matters: sudo ssh -G BUILDER; or run builder-monitor with read access to root's .ssh",
  },
  client_mismatch: {
    side: 'client',
    state: 'degraded',
    reason: p => `${p['whose'] ?? 'root'} logs in otherwise than we do${detail(p)}`,
    hint: p =>
      p['mend'] ?? `Compare both: sudo ssh -G ${v(p, 'dest')}; ssh -G ${v(p, 'dest')}`,
  },
  slots_full: {
    side: 'client',
    state: 'info',
    reason: p =>
      p['users']
        ? `all ${p['users']} build users of ${v(p, 'host')} are taken`
        : `all slots of ${v(p, 'host')} are taken`,
    hint: p =>
      p['users']
        ? `Nothing to mend: builds wait for a free build user; if ${v(p, 'host')} can do more at once, give the group nixbld there more users (NixOS: nix.nrBuildUsers)`
        : 'Nothing to mend: builds wait for a free slot; raise maxJobs in the machine line if the builder can do more',
  },
  slot_stuck: {
    side: 'client',
    state: 'degraded',
    reason: p =>
      `slot ${v(p, 'slots')} of ${v(p, 'host')} is held for ${v(p, 'hours')} hours by process ${v(p, 'pid')} without a build${detail(p)}`,
    hint: p =>
      `See what it waits for, and end it if nothing builds: ps -o pid,lstart,args -p ${v(p, 'pid')}; sudo kill ${v(p, 'pid')}`,
  },
  upload_lock: {
    side: 'client',
    state: 'info',
    reason: p => `another build of this machine is uploading to ${v(p, 'host')}`,
    hint: () => 'Nothing to mend unless it lasts: sudo lslocks | grep upload-lock',
  },
  needs_openssh: {
    side: 'client',
    state: 'info',
    reason: p =>
      `only OpenSSH can log in to ${v(p, 'host')}, so it is watched through the real ssh${detail(p)}`,
    hint: () => 'Nothing to mend; each look costs a whole ssh login',
  },
  // ------------------------------------------------------------------------------------------------ network
  tcp_timeout: {
    side: 'network',
    state: 'down',
    reason: p =>
      `${v(p, 'host')} port ${v(p, 'port')} does not answer at all${detail(p)}`,
    hint: p =>
      `Is the machine on, and does a firewall drop packets? ping ${v(p, 'host')}; nc -vz ${v(p, 'host')} ${v(p, 'port')}`,
  },
  tcp_unreachable: {
    side: 'network',
    state: 'down',
    reason: p => `there is no way to ${v(p, 'host')}${detail(p)}`,
    hint: p =>
      `Is the machine on and the network up? ip route get ${v(p, 'address')}; ping ${v(p, 'host')}`,
  },
  kex_timeout: {
    side: 'network',
    state: 'down',
    reason: p =>
      `${v(p, 'host')} port ${v(p, 'port')} greets, and then the key exchange does not go on`,
    hint: p =>
      `Packets of full size may get lost on the way (VPN, tunnel): ping -M do -s 1472 ${v(p, 'host')}; if only small ones pass, lower the MTU of the way there: ip link set dev DEVICE mtu 1280`,
  },
  connection_lost: {
    side: 'network',
    state: 'down',
    reason: p => `the connection to ${v(p, 'host')} broke${detail(p)}`,
    hint: p =>
      `Look at the link and the builder's sshd log: ${v(p, 'ssh')} ${v(p, 'dest')} journalctl -u ssh -n 50`,
  },
  dead_address: {
    side: 'network',
    state: 'degraded',
    reason: p =>
      `${v(p, 'host')} answers only after dead addresses (${v(p, 'dead')}), and every build waits for them`,
    hint: p =>
      `Remove the dead address from DNS or /etc/hosts, or set AddressFamily or HostName in root's ~/.ssh/config: getent ahosts ${v(p, 'host')}`,
  },
  slow_link: {
    side: 'network',
    state: 'info',
    reason: p => `the link to ${v(p, 'host')} is slow${detail(p)}`,
    hint: p => `Nothing may be wrong; measure it: ping ${v(p, 'host')}`,
  },
  // ------------------------------------------------------------------------------------------- remote, down
  tcp_refused: {
    side: 'remote',
    state: 'down',
    reason: p => `nothing listens on ${v(p, 'host')} port ${v(p, 'port')}`,
    hint: p =>
      `On ${v(p, 'host')}: sudo systemctl start sshd (Debian: ssh); check the port of the machine line`,
  },
  not_ssh: {
    side: 'remote',
    state: 'down',
    reason: p =>
      `what listens on ${v(p, 'host')} port ${v(p, 'port')} is not an SSH server${detail(p)}`,
    hint: p =>
      `Check host and port of the machine line: nc ${v(p, 'host')} ${v(p, 'port')}`,
  },
  banner_timeout: {
    side: 'remote',
    state: 'down',
    reason: p =>
      `${v(p, 'host')} port ${v(p, 'port')} accepts connections and then says nothing`,
    hint: p =>
      `sshd there hangs or something else has its port; on ${v(p, 'host')}: sudo systemctl restart sshd (Debian: ssh)`,
  },
  sshd_closed: {
    side: 'remote',
    state: 'down',
    reason: p =>
      `sshd on ${v(p, 'host')} closes the connection before the login${detail(p)}`,
    hint: p =>
      `Read why on ${v(p, 'host')}: sudo journalctl -u ssh -u sshd -n 50; penalties end by PerSourcePenaltyExemptList in sshd_config`,
  },
  kex_mismatch: {
    side: 'remote',
    state: 'down',
    reason: p => `ssh and ${v(p, 'host')} have no common algorithm${detail(p)}`,
    hint: p =>
      `Update the older side, or allow the algorithm: ${v(p, 'ssh')} -v ${v(p, 'dest')} true`,
  },
  nologin: {
    side: 'remote',
    state: 'down',
    reason: p =>
      `the account ${v(p, 'user')} on ${v(p, 'host')} has no login shell${detail(p)}`,
    hint: p =>
      `On ${v(p, 'host')}: sudo usermod -s /bin/sh ${v(p, 'user')} (NixOS: users.users.${v(p, 'user')}.useDefaultShell = true)`,
  },
  shell_noise: {
    side: 'remote',
    state: 'down',
    reason: p =>
      `start-up files (or a forced command) of ${v(p, 'user')} on ${v(p, 'host')} print to standard output and break the protocol${detail(p)}`,
    hint: p =>
      `Find what prints, and print only in interactive shells: ${v(p, 'ssh')} ${v(p, 'dest')} true | head`,
  },
  protocol_mismatch: {
    side: 'remote',
    state: 'down',
    reason: p =>
      `${v(p, 'host')} answers, but not in the protocol of ${v(p, 'scheme')}${detail(p)}`,
    hint: p =>
      `A forced command that serves the other protocol? Use ssh-ng:// for nix-daemon --stdio and ssh:// for nix-store --serve --write: ${v(p, 'ssh')} ${v(p, 'dest')} true | head -c 200`,
  },
  protocol: {
    side: 'remote',
    state: 'down',
    reason: p => `${v(p, 'host')} breaks the protocol${detail(p)}`,
    hint: p =>
      `Compare the Nix versions of both sides; what it sends: ${v(p, 'ssh')} ${v(p, 'dest')} true | head -c 200`,
  },
  nix_missing: {
    side: 'remote',
    state: 'down',
    reason: p =>
      `there is no ${v(p, 'program')} in the PATH of ${v(p, 'user')} on ${v(p, 'host')}`,
    hint: p =>
      `Install Nix there, or name the program in the store URI: ${v(p, 'uri')}?remote-program=/nix/var/nix/profiles/default/bin/${v(p, 'program')}`,
  },
  nix_not_executable: {
    side: 'remote',
    state: 'down',
    reason: p =>
      `${v(p, 'program')} on ${v(p, 'host')} cannot be executed by ${v(p, 'user')}${detail(p)}`,
    hint: p =>
      `Check its permissions: ${v(p, 'ssh')} ${v(p, 'dest')} 'ls -lL $(command -v ${v(p, 'program')})'`,
  },
  nix_version: {
    side: 'remote',
    state: 'down',
    reason: p =>
      `the Nix versions of this machine and ${v(p, 'host')} do not understand each other${detail(p)}`,
    hint: p =>
      `Update the older one: nix --version; ${v(p, 'ssh')} ${v(p, 'dest')} nix --version`,
  },
  daemon_down: {
    side: 'remote',
    state: 'down',
    reason: p => `nix-daemon on ${v(p, 'host')} does not run${detail(p)}`,
    hint: p =>
      `On ${v(p, 'host')}: sudo systemctl reset-failed nix-daemon.socket nix-daemon.service; ${restartDaemon}`,
  },
  daemon_frozen: {
    side: 'remote',
    state: 'down',
    reason: p => `nix-daemon on ${v(p, 'host')} takes the connection and never answers`,
    hint: p => `On ${v(p, 'host')}: ${restartDaemon}`,
  },
  daemon_denied: {
    side: 'remote',
    state: 'down',
    reason: p =>
      `${v(p, 'user')} may not connect to nix-daemon on ${v(p, 'host')}${detail(p)}`,
    hint: p =>
      `On ${v(p, 'host')}: add ${v(p, 'user')} to allowed-users and trusted-users in /etc/nix/nix.conf, on Debian also sudo usermod -aG nix-users ${v(p, 'user')}; ${restartDaemon}`,
  },
  daemon_crash: {
    side: 'remote',
    state: 'down',
    reason: p =>
      `nix-daemon on ${v(p, 'host')} ends in the middle of the conversation${detail(p)}`,
    hint: p =>
      `Read its log on ${v(p, 'host')}: sudo journalctl -u nix-daemon -n 50; a full disk and lack of memory look like this`,
  },
  disk_full: {
    side: 'remote',
    state: 'down',
    reason: p => `the disk of ${v(p, 'host')} is full${detail(p)}`,
    hint: p =>
      `Free space there as root (a full daemon cannot help itself): ${collectGarbage(p)}`,
  },
  inodes_full: {
    side: 'remote',
    state: 'down',
    reason: p => `the store of ${v(p, 'host')} has no inodes left${detail(p)}`,
    hint: p => `Free some as root: ${collectGarbage(p)}; df -i /nix/store`,
  },
  store_read_only: {
    side: 'remote',
    state: 'down',
    reason: p => `the store of ${v(p, 'host')} is read-only${detail(p)}`,
    hint: p =>
      `Find out why on ${v(p, 'host')} (disk errors?): dmesg | tail; sudo mount -o remount,rw /nix`,
  },
  copy_failed: {
    side: 'remote',
    state: 'down',
    reason: p => `inputs or outputs could not be copied${detail(p)}`,
    hint: p =>
      `Try a copy by hand: nix-store --export $(nix-store -qR SOME_PATH) | ${v(p, 'ssh')} ${v(p, 'dest')} nix-store --import`,
  },
  build_failed: {
    side: 'remote',
    state: 'down',
    reason: p => `a build that cannot fail failed on ${v(p, 'host')}${detail(p)}`,
    hint: p =>
      `Read the log above and nix-daemon's on ${v(p, 'host')}: sudo journalctl -u nix-daemon -n 50`,
  },
  build_timeout: {
    side: 'remote',
    state: 'down',
    reason: p => `a tiny build on ${v(p, 'host')} did not end in time${detail(p)}`,
    hint: p =>
      p['pid']
        ? `End it on ${v(p, 'host')} if it does not move: ps -o pid,stat,lstart,time,args -p ${p['pid']}; sudo kill ${p['pid']}`
        : `See what it waits for on ${v(p, 'host')}: ps -ef | grep nix; sudo journalctl -u nix-daemon -n 50`,
  },
  oom: {
    side: 'remote',
    state: 'down',
    reason: p => `the build on ${v(p, 'host')} was killed for lack of memory${detail(p)}`,
    hint: p =>
      `On ${v(p, 'host')}: journalctl -k | grep -i oom; raise MemoryMax of nix-daemon.service or lower max-jobs`,
  },
  exec_format: {
    side: 'remote',
    state: 'down',
    reason: p => `${v(p, 'host')} cannot execute programs for ${v(p, 'system')}`,
    hint: p =>
      `Take the system out of the machine line, or enable emulation on ${v(p, 'host')} (boot.binfmt.emulatedSystems)`,
  },
  remote_config_invalid: {
    side: 'remote',
    state: 'down',
    reason: p =>
      `nix.conf on ${v(p, 'host')} is malformed, so Nix does not start${detail(p)}`,
    hint: p =>
      `Mend the line that is named, then restart the daemon, which would not come up again either: on ${v(p, 'host')}: sudoedit /etc/nix/nix.conf; ${restartDaemon}`,
  },
  builds_disabled: {
    side: 'remote',
    state: 'down',
    reason: p => `max-jobs is 0 on ${v(p, 'host')}, so it starts no build`,
    hint: p =>
      `On ${v(p, 'host')}: write max-jobs = auto into /etc/nix/nix.conf (NixOS: nix.settings.max-jobs = "auto"); ${restartDaemon}`,
  },
  system_missing: {
    side: 'remote',
    state: 'down',
    reason: p => `${v(p, 'host')} does not build for ${v(p, 'missing')}${detail(p)}`,
    hint: p =>
      `Write what it can build into the second field of the machine line (it offers ${v(p, 'offered')}), or add extra-platforms = ${v(p, 'missing')} to its nix.conf`,
  },
  // --------------------------------------------------------------------------------------- remote, degraded
  not_trusted: {
    side: 'remote',
    state: 'degraded',
    reason: p =>
      `Nix on ${v(p, 'host')} does not trust ${v(p, 'user')}, so builds with unsigned inputs fail`,
    hint: p =>
      `On ${v(p, 'host')}: add ${v(p, 'user')} to trusted-users in /etc/nix/nix.conf (NixOS: nix.settings.trusted-users); ${restartDaemon}`,
  },
  feature_missing: {
    side: 'remote',
    state: 'degraded',
    reason: p =>
      `${v(p, 'host')} does not offer the advertised feature ${v(p, 'missing')}`,
    hint: p =>
      `Take ${v(p, 'missing')} out of the machine line, or add it to system-features in nix.conf on ${v(p, 'host')} (extra-system-features = ${v(p, 'missing')}); ${restartDaemon}`,
  },
  below_min_free: {
    side: 'remote',
    state: 'degraded',
    reason: p =>
      `${v(p, 'available')} free on ${v(p, 'path')} of ${v(p, 'host')}, below its min-free of ${v(p, 'minFree')}`,
    hint: p => `Garbage collection does not keep up: ${collectGarbage(p)}`,
  },
  // ------------------------------------------------------------------------------------------- remote, info
  sshd_throttled: {
    side: 'remote',
    state: 'info',
    reason: p =>
      `sshd on ${v(p, 'host')} turns logins away because there are too many${detail(p)}`,
    hint: p =>
      `On ${v(p, 'host')}: raise MaxStartups in sshd_config (for example 100:30:200), and exempt this machine with PerSourcePenaltyExemptList`,
  },
  gc_wait: {
    side: 'remote',
    state: 'info',
    reason: p => `a garbage collection on ${v(p, 'host')} holds builds up${detail(p)}`,
    hint: p =>
      p['pid']
        ? `It should end by itself; see on ${v(p, 'host')} whether it moves: ps -o pid,stat,lstart,time,args -p ${p['pid']}`
        : 'Nothing to mend; it ends by itself',
  },
  forced_command: {
    side: 'remote',
    state: 'info',
    reason: p =>
      `${v(p, 'user')} on ${v(p, 'host')} is limited to one command, so its resources cannot be read`,
    hint: () => 'Nothing to mend: builds work; disk and memory stay unknown to us',
  },
  no_shell: {
    side: 'remote',
    state: 'info',
    reason: p =>
      `${v(p, 'host')} gives ${v(p, 'user')} no shell, so its resources cannot be read`,
    hint: () => 'Nothing to mend: builds work; disk and memory stay unknown to us',
  },
  clock_skew: {
    side: 'remote',
    state: 'info',
    reason: p => `the clock of ${v(p, 'host')} is off${detail(p)}`,
    hint: p => `On ${v(p, 'host')}: timedatectl set-ntp true`,
  },
  rebooted: {
    side: 'remote',
    state: 'info',
    reason: p => `${v(p, 'host')} was restarted${detail(p)}`,
    hint: () => 'Nothing to mend if you know why',
  },
  // ----------------------------------------------------------------------------------------------- security
  host_key_changed: {
    side: 'security',
    state: 'down',
    reason: p =>
      `the host key of ${v(p, 'host')} is not the one we know${detail(p)}: it was reinstalled, or somebody is in between`,
    hint: p =>
      `Find out which. If it was reinstalled, compare the fingerprint on its console and forget the old key: sudo ssh-keygen -R ${v(p, 'knownAs')}`,
  },
  host_key_mismatch: {
    side: 'security',
    state: 'down',
    reason: p =>
      `the host key of ${v(p, 'host')} is not the one pinned in the machine line${detail(p)}`,
    hint: p =>
      `If the builder was reinstalled, pin its new key in field 8 of the machine line: base64 -w0 /etc/ssh/ssh_host_ed25519_key.pub (on ${v(p, 'host')})`,
  },
  host_key_revoked: {
    side: 'security',
    state: 'down',
    reason: p => `the host key of ${v(p, 'host')} is marked @revoked${detail(p)}`,
    hint: p =>
      `Give ${v(p, 'host')} a new host key: sudo rm /etc/ssh/ssh_host_*; sudo ssh-keygen -A; sudo systemctl restart sshd`,
  },
  certificate_expired: {
    side: 'security',
    state: 'down',
    reason: p => `an SSH certificate for ${v(p, 'host')} is expired${detail(p)}`,
    hint: () => 'Have it signed again: ssh-keygen -L -f CERTIFICATE shows its validity',
  },
  certificate_expires: {
    side: 'security',
    state: 'info',
    reason: p => `an SSH certificate for ${v(p, 'host')} ends soon${detail(p)}`,
    hint: () =>
      'Have it signed again before that: ssh-keygen -L -f CERTIFICATE shows its validity',
  },
  host_key_unpinned: {
    side: 'security',
    state: 'degraded',
    reason: p =>
      `the host key of ${v(p, 'host')} is accepted without being known${detail(p)}`,
    hint: p =>
      `Pin it in field 8 of the machine line, or set StrictHostKeyChecking yes and add it: sudo ssh-keyscan ${v(p, 'host')} (compare the fingerprint)`,
  },
  // --------------------------------------------------------------------------------------------------- none
  internal: {
    side: 'none',
    state: 'down',
    reason: p => `a fault of builder-monitor itself${detail(p)}`,
    hint: () => 'Please report it with the output of: builder-monitor check --json',
  },
  unclassified: {
    side: 'none',
    state: 'down',
    reason: p => `something that builder-monitor has no name for${detail(p)}`,
    hint: () => 'Read the evidence, and please report it so that it gets a name',
  },
  asleep: {
    side: 'none',
    state: 'info',
    reason: p => `${v(p, 'host')} is allowed to sleep and does not answer`,
    hint: () => 'Nothing to mend',
  },
  drained: {
    side: 'none',
    state: 'info',
    reason: p => `${v(p, 'host')} was taken out of service`,
    hint: () => 'Nothing to mend',
  },
  not_tried: {
    side: 'none',
    state: 'info',
    reason: p => `not tried, waits for ${v(p, 'waitsFor')}`,
    hint: p => `Mend ${v(p, 'waitsFor')} first`,
  },
  not_asked: {
    side: 'none',
    state: 'info',
    reason: p => `not asked for${detail(p)}`,
    hint: () => 'Prove it: builder-monitor check --canary',
  },
  no_local_nix: {
    side: 'none',
    state: 'info',
    reason: () => 'there is no nix-build on this machine, so no canary can be sent',
    hint: () => 'Install Nix here: sudo apt-get install nix-bin',
  },
  not_remote: {
    side: 'none',
    state: 'info',
    reason: p => `${v(p, 'uri')} is not reached over SSH`,
    hint: () => 'Nothing to mend; only the canary watches this builder',
  },
  not_told: {
    side: 'none',
    state: 'info',
    reason: p => `the builder does not tell${detail(p)}`,
    hint: () => 'Nothing to mend',
  },
} as const satisfies Record<string, KindEntry>

/** A member of the closed set. */
export type Kind = keyof typeof kinds

export const kindNames = Object.keys(kinds) as readonly Kind[]

export const isKind = (text: string): text is Kind => Object.hasOwn(kinds, text)

export const sideOf = (kind: Kind): Side => kinds[kind].side
export const stateOf = (kind: Kind): KindState => kinds[kind].state

/**
 * The sentence of a kind, first letter as written in the table. With a parameter `jump` it is about that jump host, in
 * whose name all other parameters are.
 */
export const reasonOf = (kind: Kind, params: Params): string => {
  const reason = kinds[kind].reason(params)
  return params['jump'] ? `behind the jump host ${params['jump']}: ${reason}` : reason
}
export const hintOf = (kind: Kind, params: Params): string => kinds[kind].hint(params)
