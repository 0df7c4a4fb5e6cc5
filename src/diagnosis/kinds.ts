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
const param = (p: Params, name: string): string => p[name] ?? '-'
/** A detail in brackets, or nothing. */
const detail = (p: Params): string => (p['detail'] ? ` (${p['detail']})` : '')

const restartDaemonCommand =
  'sudo systemctl restart nix-daemon.socket nix-daemon.service (macOS: sudo launchctl kickstart -k system/org.nixos.nix-daemon)'
const collectGarbageCommand = (p: Params): string =>
  `${param(p, 'ssh')} ${param(p, 'dest')} sudo nix-collect-garbage -d`

export const kinds = {
  // ------------------------------------------------------------------------------------------ client, down
  config_invalid: {
    side: 'client',
    state: 'down',
    reason: p =>
      `a malformed builders list makes every build on this machine fail${detail(p)}`,
    hint: p =>
      `Mend the line named above (${param(p, 'where')}), then look again: builder-monitor builders`,
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
    reason: p => `the host name ${param(p, 'host')} has no address${detail(p)}`,
    hint: p =>
      `Check the name, or add it to /etc/hosts or root's ~/.ssh/config: getent ahosts ${param(p, 'host')}`,
  },
  key_missing: {
    side: 'client',
    state: 'down',
    reason: p => `the private key ${param(p, 'key')} does not exist`,
    hint: p =>
      `Create it or mend the third field of the machine line: sudo ssh-keygen -t ed25519 -N '' -f ${param(p, 'key')}`,
  },
  key_unreadable: {
    side: 'client',
    state: 'down',
    reason: p => `the private key ${param(p, 'key')} cannot be used${detail(p)}`,
    hint: p =>
      `Check who may read it and that it is a private key: sudo ssh-keygen -y -f ${param(p, 'key')}`,
  },
  key_encrypted: {
    side: 'client',
    state: 'down',
    reason: p =>
      `the private key ${param(p, 'key')} has a passphrase, and nobody is there to type it`,
    hint: p => `Remove the passphrase: sudo ssh-keygen -p -N '' -f ${param(p, 'key')}`,
  },
  key_permissions: {
    side: 'client',
    state: 'down',
    reason: p =>
      `ssh refuses the private key ${param(p, 'key')} because others may read it${detail(p)}`,
    hint: p => `sudo chmod 600 ${param(p, 'key')}`,
  },
  auth_denied: {
    side: 'client',
    state: 'down',
    reason: p =>
      `${param(p, 'host')} does not accept our key for ${param(p, 'user')}${detail(p)}`,
    hint: p =>
      `Put the public key into ${param(p, 'user')}'s authorized_keys on ${param(p, 'host')}: sudo ssh-copy-id -i ${param(p, 'key')} ${param(p, 'dest')}; if it is there, the account may be locked or expired (chage -l ${param(p, 'user')}) or others may write that file: sudo journalctl -u ssh -u sshd tells`,
  },
  host_key_unknown: {
    side: 'client',
    state: 'down',
    reason: p => `the host key of ${param(p, 'host')} is not known here${detail(p)}`,
    hint: p =>
      `Compare the fingerprint on the builder (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub), then as root: ${param(p, 'ssh')} ${param(p, 'dest')} true; or pin it in field 8 of the machine line`,
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
      `Close it: ${param(p, 'ssh')} -O exit ${param(p, 'dest')}; and set ControlMaster no for ${param(p, 'host')} in root's ~/.ssh/config`,
  },
  client_daemon_down: {
    side: 'client',
    state: 'down',
    reason: p => `nix-daemon of this machine does not answer${detail(p)}`,
    hint: () => restartDaemonCommand,
  },
  client_disk_full: {
    side: 'client',
    state: 'down',
    reason: p =>
      `this machine has no room for the results of builds: ${param(p, 'available')} left on ${param(p, 'path')}`,
    hint: p => `sudo nix-collect-garbage -d; df -h ${param(p, 'path')}`,
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
      `this machine is short of memory: ${param(p, 'available')} of ${param(p, 'total')} left`,
    hint: () => 'See what takes it: ps -eo rss,pid,args --sort=-rss | head',
  },
  machines_unused: {
    side: 'client',
    state: 'degraded',
    reason: p =>
      `${param(p, 'file')} lists builders, but the builders setting is empty, so none is used`,
    hint: p =>
      `Take the line builders = out of nix.conf (${param(p, 'where')}; NixOS: nix.distributedBuilds = true), then ${restartDaemonCommand}`,
  },
  daemon_restart_needed: {
    side: 'client',
    state: 'degraded',
    reason: p =>
      `${param(p, 'file')} is newer than the running nix-daemon, which read it only once at its start`,
    hint: () => restartDaemonCommand,
  },
  root_ssh_config_unreadable: {
    side: 'client',
    state: 'info',
    reason: p =>
      `builds go out as root, whose ssh settings we may not read (${param(p, 'files')}), so root may log in otherwise than we do`,
    hint: () =>
      "Compare where it matters: sudo ssh -G BUILDER; or run builder-monitor with read access to root's .ssh",
  },
  client_mismatch: {
    side: 'client',
    state: 'degraded',
    reason: p => `${p['whose'] ?? 'root'} logs in otherwise than we do${detail(p)}`,
    hint: p =>
      p['mend'] ??
      `Compare both: sudo ssh -G ${param(p, 'dest')}; ssh -G ${param(p, 'dest')}`,
  },
  slots_full: {
    side: 'client',
    state: 'info',
    reason: p =>
      p['users']
        ? `all ${p['users']} build users of ${param(p, 'host')} are taken`
        : `all slots of ${param(p, 'host')} are taken`,
    hint: p =>
      p['users']
        ? `Nothing to mend: builds wait for a free build user; if ${param(p, 'host')} can do more at once, give the group nixbld there more users (NixOS: nix.nrBuildUsers)`
        : 'Nothing to mend: builds wait for a free slot; raise maxJobs in the machine line if the builder can do more',
  },
  slot_stuck: {
    side: 'client',
    state: 'degraded',
    reason: p =>
      `slot ${param(p, 'slots')} of ${param(p, 'host')} is held for ${param(p, 'hours')} hours by process ${param(p, 'pid')} without a build${detail(p)}`,
    hint: p =>
      `See what it waits for, and end it if nothing builds: ps -o pid,lstart,args -p ${param(p, 'pid')}; sudo kill ${param(p, 'pid')}`,
  },
  upload_lock: {
    side: 'client',
    state: 'info',
    reason: p => `another build of this machine is uploading to ${param(p, 'host')}`,
    hint: () => 'Nothing to mend unless it lasts: sudo lslocks | grep upload-lock',
  },
  needs_openssh: {
    side: 'client',
    state: 'info',
    reason: p =>
      `only OpenSSH can log in to ${param(p, 'host')}, so it is watched through the real ssh${detail(p)}`,
    hint: () => 'Nothing to mend; each look costs a whole ssh login',
  },
  // ------------------------------------------------------------------------------------------------ network
  tcp_timeout: {
    side: 'network',
    state: 'down',
    reason: p =>
      `${param(p, 'host')} port ${param(p, 'port')} does not answer at all${detail(p)}`,
    hint: p =>
      `Is the machine on, and does a firewall drop packets? ping ${param(p, 'host')}; nc -vz ${param(p, 'host')} ${param(p, 'port')}`,
  },
  tcp_unreachable: {
    side: 'network',
    state: 'down',
    reason: p => `there is no way to ${param(p, 'host')}${detail(p)}`,
    hint: p =>
      `Is the machine on and the network up? ip route get ${param(p, 'address')}; ping ${param(p, 'host')}`,
  },
  kex_timeout: {
    side: 'network',
    state: 'down',
    reason: p =>
      `${param(p, 'host')} port ${param(p, 'port')} greets, and then the key exchange does not go on`,
    hint: p =>
      `Packets of full size may get lost on the way (VPN, tunnel): ping -M do -s 1472 ${param(p, 'host')}; if only small ones pass, lower the MTU of the way there: ip link set dev DEVICE mtu 1280`,
  },
  connection_lost: {
    side: 'network',
    state: 'down',
    reason: p => `the connection to ${param(p, 'host')} broke${detail(p)}`,
    hint: p =>
      `Look at the link and the builder's sshd log: ${param(p, 'ssh')} ${param(p, 'dest')} journalctl -u ssh -n 50`,
  },
  dead_address: {
    side: 'network',
    state: 'degraded',
    reason: p =>
      `${param(p, 'host')} answers only after dead addresses (${param(p, 'dead')}), and every build waits for them`,
    hint: p =>
      `Remove the dead address from DNS or /etc/hosts, or set AddressFamily or HostName in root's ~/.ssh/config: getent ahosts ${param(p, 'host')}`,
  },
  slow_link: {
    side: 'network',
    state: 'info',
    reason: p => `the link to ${param(p, 'host')} is slow${detail(p)}`,
    hint: p => `Nothing may be wrong; measure it: ping ${param(p, 'host')}`,
  },
  // ------------------------------------------------------------------------------------------- remote, down
  tcp_refused: {
    side: 'remote',
    state: 'down',
    reason: p => `nothing listens on ${param(p, 'host')} port ${param(p, 'port')}`,
    hint: p =>
      `On ${param(p, 'host')}: sudo systemctl start sshd (Debian: ssh); check the port of the machine line`,
  },
  not_ssh: {
    side: 'remote',
    state: 'down',
    reason: p =>
      `what listens on ${param(p, 'host')} port ${param(p, 'port')} is not an SSH server${detail(p)}`,
    hint: p =>
      `Check host and port of the machine line: nc ${param(p, 'host')} ${param(p, 'port')}`,
  },
  banner_timeout: {
    side: 'remote',
    state: 'down',
    reason: p =>
      `${param(p, 'host')} port ${param(p, 'port')} accepts connections and then says nothing`,
    hint: p =>
      `sshd there hangs or something else has its port; on ${param(p, 'host')}: sudo systemctl restart sshd (Debian: ssh)`,
  },
  sshd_closed: {
    side: 'remote',
    state: 'down',
    reason: p =>
      `sshd on ${param(p, 'host')} closes the connection before the login${detail(p)}`,
    hint: p =>
      `Read why on ${param(p, 'host')}: sudo journalctl -u ssh -u sshd -n 50; penalties end by PerSourcePenaltyExemptList in sshd_config`,
  },
  kex_mismatch: {
    side: 'remote',
    state: 'down',
    reason: p => `ssh and ${param(p, 'host')} have no common algorithm${detail(p)}`,
    hint: p =>
      `Update the older side, or allow the algorithm: ${param(p, 'ssh')} -v ${param(p, 'dest')} true`,
  },
  nologin: {
    side: 'remote',
    state: 'down',
    reason: p =>
      `the account ${param(p, 'user')} on ${param(p, 'host')} has no login shell${detail(p)}`,
    hint: p =>
      `On ${param(p, 'host')}: sudo usermod -s /bin/sh ${param(p, 'user')} (NixOS: users.users.${param(p, 'user')}.useDefaultShell = true)`,
  },
  shell_noise: {
    side: 'remote',
    state: 'down',
    reason: p =>
      `start-up files (or a forced command) of ${param(p, 'user')} on ${param(p, 'host')} print to standard output and break the protocol${detail(p)}`,
    hint: p =>
      `Find what prints, and print only in interactive shells: ${param(p, 'ssh')} ${param(p, 'dest')} true | head`,
  },
  protocol_mismatch: {
    side: 'remote',
    state: 'down',
    reason: p =>
      `${param(p, 'host')} answers, but not in the protocol of ${param(p, 'scheme')}${detail(p)}`,
    hint: p =>
      `A forced command that serves the other protocol? Use ssh-ng:// for nix-daemon --stdio and ssh:// for nix-store --serve --write: ${param(p, 'ssh')} ${param(p, 'dest')} true | head -c 200`,
  },
  protocol: {
    side: 'remote',
    state: 'down',
    reason: p => `${param(p, 'host')} breaks the protocol${detail(p)}`,
    hint: p =>
      `Compare the Nix versions of both sides; what it sends: ${param(p, 'ssh')} ${param(p, 'dest')} true | head -c 200`,
  },
  nix_missing: {
    side: 'remote',
    state: 'down',
    reason: p =>
      `there is no ${param(p, 'program')} in the PATH of ${param(p, 'user')} on ${param(p, 'host')}`,
    hint: p =>
      `Install Nix there, or name the program in the store URI: ${param(p, 'uri')}?remote-program=/nix/var/nix/profiles/default/bin/${param(p, 'program')}`,
  },
  nix_not_executable: {
    side: 'remote',
    state: 'down',
    reason: p =>
      `${param(p, 'program')} on ${param(p, 'host')} cannot be executed by ${param(p, 'user')}${detail(p)}`,
    hint: p =>
      `Check its permissions: ${param(p, 'ssh')} ${param(p, 'dest')} 'ls -lL $(command -v ${param(p, 'program')})'`,
  },
  nix_version: {
    side: 'remote',
    state: 'down',
    reason: p =>
      `the Nix versions of this machine and ${param(p, 'host')} do not understand each other${detail(p)}`,
    hint: p =>
      `Update the older one: nix --version; ${param(p, 'ssh')} ${param(p, 'dest')} nix --version`,
  },
  daemon_down: {
    side: 'remote',
    state: 'down',
    reason: p => `nix-daemon on ${param(p, 'host')} does not run${detail(p)}`,
    hint: p =>
      `On ${param(p, 'host')}: sudo systemctl reset-failed nix-daemon.socket nix-daemon.service; ${restartDaemonCommand}`,
  },
  daemon_frozen: {
    side: 'remote',
    state: 'down',
    reason: p =>
      `nix-daemon on ${param(p, 'host')} takes the connection and never answers`,
    hint: p => `On ${param(p, 'host')}: ${restartDaemonCommand}`,
  },
  daemon_denied: {
    side: 'remote',
    state: 'down',
    reason: p =>
      `${param(p, 'user')} may not connect to nix-daemon on ${param(p, 'host')}${detail(p)}`,
    hint: p =>
      `On ${param(p, 'host')}: add ${param(p, 'user')} to allowed-users and trusted-users in /etc/nix/nix.conf, on Debian also sudo usermod -aG nix-users ${param(p, 'user')}; ${restartDaemonCommand}`,
  },
  daemon_crash: {
    side: 'remote',
    state: 'down',
    reason: p =>
      `nix-daemon on ${param(p, 'host')} ends in the middle of the conversation${detail(p)}`,
    hint: p =>
      `Read its log on ${param(p, 'host')}: sudo journalctl -u nix-daemon -n 50; a full disk and lack of memory look like this`,
  },
  disk_full: {
    side: 'remote',
    state: 'down',
    reason: p => `the disk of ${param(p, 'host')} is full${detail(p)}`,
    hint: p =>
      `Free space there as root (a full daemon cannot help itself): ${collectGarbageCommand(p)}`,
  },
  inodes_full: {
    side: 'remote',
    state: 'down',
    reason: p => `the store of ${param(p, 'host')} has no inodes left${detail(p)}`,
    hint: p => `Free some as root: ${collectGarbageCommand(p)}; df -i /nix/store`,
  },
  store_read_only: {
    side: 'remote',
    state: 'down',
    reason: p => `the store of ${param(p, 'host')} is read-only${detail(p)}`,
    hint: p =>
      `Find out why on ${param(p, 'host')} (disk errors?): dmesg | tail; sudo mount -o remount,rw /nix`,
  },
  copy_failed: {
    side: 'remote',
    state: 'down',
    reason: p => `inputs or outputs could not be copied${detail(p)}`,
    hint: p =>
      `Try a copy by hand: nix-store --export $(nix-store -qR SOME_PATH) | ${param(p, 'ssh')} ${param(p, 'dest')} nix-store --import`,
  },
  build_failed: {
    side: 'remote',
    state: 'down',
    reason: p => `a build that cannot fail failed on ${param(p, 'host')}${detail(p)}`,
    hint: p =>
      `Read the log above and nix-daemon's on ${param(p, 'host')}: sudo journalctl -u nix-daemon -n 50`,
  },
  build_timeout: {
    side: 'remote',
    state: 'down',
    reason: p => `a tiny build on ${param(p, 'host')} did not end in time${detail(p)}`,
    hint: p =>
      p['pid']
        ? `End it on ${param(p, 'host')} if it does not move: ps -o pid,stat,lstart,time,args -p ${p['pid']}; sudo kill ${p['pid']}`
        : `See what it waits for on ${param(p, 'host')}: ps -ef | grep nix; sudo journalctl -u nix-daemon -n 50`,
  },
  oom: {
    side: 'remote',
    state: 'down',
    reason: p =>
      `the build on ${param(p, 'host')} was killed for lack of memory${detail(p)}`,
    hint: p =>
      `On ${param(p, 'host')}: journalctl -k | grep -i oom; raise MemoryMax of nix-daemon.service or lower max-jobs`,
  },
  exec_format: {
    side: 'remote',
    state: 'down',
    reason: p => `${param(p, 'host')} cannot execute programs for ${param(p, 'system')}`,
    hint: p =>
      `Take the system out of the machine line, or enable emulation on ${param(p, 'host')} (boot.binfmt.emulatedSystems)`,
  },
  remote_config_invalid: {
    side: 'remote',
    state: 'down',
    reason: p =>
      `nix.conf on ${param(p, 'host')} is malformed, so Nix does not start${detail(p)}`,
    hint: p =>
      `Mend the line that is named, then restart the daemon, which would not come up again either: on ${param(p, 'host')}: sudoedit /etc/nix/nix.conf; ${restartDaemonCommand}`,
  },
  builds_disabled: {
    side: 'remote',
    state: 'down',
    reason: p => `max-jobs is 0 on ${param(p, 'host')}, so it starts no build`,
    hint: p =>
      `On ${param(p, 'host')}: write max-jobs = auto into /etc/nix/nix.conf (NixOS: nix.settings.max-jobs = "auto"); ${restartDaemonCommand}`,
  },
  system_missing: {
    side: 'remote',
    state: 'down',
    reason: p =>
      `${param(p, 'host')} does not build for ${param(p, 'missing')}${detail(p)}`,
    hint: p =>
      `Write what it can build into the second field of the machine line (it offers ${param(p, 'offered')}), or add extra-platforms = ${param(p, 'missing')} to its nix.conf`,
  },
  // --------------------------------------------------------------------------------------- remote, degraded
  not_trusted: {
    side: 'remote',
    state: 'degraded',
    reason: p =>
      `Nix on ${param(p, 'host')} does not trust ${param(p, 'user')}, so builds with unsigned inputs fail`,
    hint: p =>
      `On ${param(p, 'host')}: add ${param(p, 'user')} to trusted-users in /etc/nix/nix.conf (NixOS: nix.settings.trusted-users); ${restartDaemonCommand}`,
  },
  feature_missing: {
    side: 'remote',
    state: 'degraded',
    reason: p =>
      `${param(p, 'host')} does not offer the advertised feature ${param(p, 'missing')}`,
    hint: p =>
      `Take ${param(p, 'missing')} out of the machine line, or add it to system-features in nix.conf on ${param(p, 'host')} (extra-system-features = ${param(p, 'missing')}); ${restartDaemonCommand}`,
  },
  below_min_free: {
    side: 'remote',
    state: 'degraded',
    reason: p =>
      `${param(p, 'available')} free on ${param(p, 'path')} of ${param(p, 'host')}, below its min-free of ${param(p, 'minFree')}`,
    hint: p => `Garbage collection does not keep up: ${collectGarbageCommand(p)}`,
  },
  // ------------------------------------------------------------------------------------------- remote, info
  sshd_throttled: {
    side: 'remote',
    state: 'info',
    reason: p =>
      `sshd on ${param(p, 'host')} turns logins away because there are too many${detail(p)}`,
    hint: p =>
      `On ${param(p, 'host')}: raise MaxStartups in sshd_config (for example 100:30:200), and exempt this machine with PerSourcePenaltyExemptList`,
  },
  gc_wait: {
    side: 'remote',
    state: 'info',
    reason: p =>
      `a garbage collection on ${param(p, 'host')} holds builds up${detail(p)}`,
    hint: p =>
      p['pid']
        ? `It should end by itself; see on ${param(p, 'host')} whether it moves: ps -o pid,stat,lstart,time,args -p ${p['pid']}`
        : 'Nothing to mend; it ends by itself',
  },
  forced_command: {
    side: 'remote',
    state: 'info',
    reason: p =>
      `${param(p, 'user')} on ${param(p, 'host')} is limited to one command, so its resources cannot be read`,
    hint: () => 'Nothing to mend: builds work; disk and memory stay unknown to us',
  },
  no_shell: {
    side: 'remote',
    state: 'info',
    reason: p =>
      `${param(p, 'host')} gives ${param(p, 'user')} no shell, so its resources cannot be read`,
    hint: () => 'Nothing to mend: builds work; disk and memory stay unknown to us',
  },
  clock_skew: {
    side: 'remote',
    state: 'info',
    reason: p => `the clock of ${param(p, 'host')} is off${detail(p)}`,
    hint: p => `On ${param(p, 'host')}: timedatectl set-ntp true`,
  },
  rebooted: {
    side: 'remote',
    state: 'info',
    reason: p => `${param(p, 'host')} was restarted${detail(p)}`,
    hint: () => 'Nothing to mend if you know why',
  },
  // ----------------------------------------------------------------------------------------------- security
  host_key_changed: {
    side: 'security',
    state: 'down',
    reason: p =>
      `the host key of ${param(p, 'host')} is not the one we know${detail(p)}: it was reinstalled, or somebody is in between`,
    hint: p =>
      `Find out which. If it was reinstalled, compare the fingerprint on its console and forget the old key: sudo ssh-keygen -R ${param(p, 'knownAs')}`,
  },
  host_key_mismatch: {
    side: 'security',
    state: 'down',
    reason: p =>
      `the host key of ${param(p, 'host')} is not the one pinned in the machine line${detail(p)}`,
    hint: p =>
      `If the builder was reinstalled, pin its new key in field 8 of the machine line: base64 -w0 /etc/ssh/ssh_host_ed25519_key.pub (on ${param(p, 'host')})`,
  },
  host_key_revoked: {
    side: 'security',
    state: 'down',
    reason: p => `the host key of ${param(p, 'host')} is marked @revoked${detail(p)}`,
    hint: p =>
      `Give ${param(p, 'host')} a new host key: sudo rm /etc/ssh/ssh_host_*; sudo ssh-keygen -A; sudo systemctl restart sshd`,
  },
  certificate_expired: {
    side: 'security',
    state: 'down',
    reason: p => `an SSH certificate for ${param(p, 'host')} is expired${detail(p)}`,
    hint: () => 'Have it signed again: ssh-keygen -L -f CERTIFICATE shows its validity',
  },
  certificate_expires: {
    side: 'security',
    state: 'info',
    reason: p => `an SSH certificate for ${param(p, 'host')} ends soon${detail(p)}`,
    hint: () =>
      'Have it signed again before that: ssh-keygen -L -f CERTIFICATE shows its validity',
  },
  host_key_unpinned: {
    side: 'security',
    state: 'degraded',
    reason: p =>
      `the host key of ${param(p, 'host')} is accepted without being known${detail(p)}`,
    hint: p =>
      `Pin it in field 8 of the machine line, or set StrictHostKeyChecking yes and add it: sudo ssh-keyscan ${param(p, 'host')} (compare the fingerprint)`,
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
    reason: p => `${param(p, 'host')} is allowed to sleep and does not answer`,
    hint: () => 'Nothing to mend',
  },
  drained: {
    side: 'none',
    state: 'info',
    reason: p => `${param(p, 'host')} was taken out of service`,
    hint: () => 'Nothing to mend',
  },
  dependency_failed: {
    side: 'none',
    state: 'info',
    reason: p => `not tried, waits for ${param(p, 'waitsFor')}`,
    hint: p => `Mend ${param(p, 'waitsFor')} first`,
  },
  not_requested: {
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
  not_ssh_store: {
    side: 'none',
    state: 'info',
    reason: p => `${param(p, 'uri')} is not reached over SSH`,
    hint: () => 'Nothing to mend; only the canary watches this builder',
  },
  no_data: {
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

export const kindSide = (kind: Kind): Side => kinds[kind].side
export const kindState = (kind: Kind): KindState => kinds[kind].state

/**
 * The sentence of a kind, first letter as written in the table. With a parameter `jump` it is about that jump host, in
 * whose name all other parameters are.
 */
export const formatMessage = (kind: Kind, params: Params): string => {
  const reason = kinds[kind].reason(params)
  return params['jump'] ? `behind the jump host ${params['jump']}: ${reason}` : reason
}
export const formatFix = (kind: Kind, params: Params): string => kinds[kind].hint(params)
