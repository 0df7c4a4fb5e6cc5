import type { Kind } from '../../model/index.ts'
import { shellQuote } from '../../nix/protocol/store-command.ts'
import {
  collectGarbage,
  controlSshd,
  findUsedSpace,
  here,
  hereAsRoot,
  onBuilder,
  onBuilderAsRoot,
  readDaemonLog,
  readSshdLog,
  restartDaemon,
  text,
  type KindInfo,
  type KindParams,
} from './kind-info.ts'

/** Shows a process, to see whether it makes progress. */
const showProcess = (pid: string) =>
  onBuilder(`ps -o pid,stat,lstart,time,args -p ${pid}`)

/** Shows what a login prints before the protocol. */
const showOutput = (p: KindParams, bytes: string) =>
  hereAsRoot(`${p.ssh} ${p.dest} true | head ${bytes}`.trim())

const noResources =
  'No action needed: builds work, only resources such as disk and memory are not reported'

/** Kinds of the builder itself. */
export const remoteKinds = {
  // ---------------------------------------------------------------------------------------------------- down
  tcp_refused: {
    side: 'remote',
    state: 'down',
    message: p => `cannot reach ${p.host} port ${p.port}: connection refused`,
    fixes: () => [
      text('Start sshd, or correct the port in the machine line'),
      controlSshd('start'),
    ],
    meaning:
      'The machine is up and reports that nothing listens on that port: sshd is stopped, or the port is wrong.',
    diagnosis: 'On the builder: systemctl status ssh sshd; ss -ltn.',
  },
  not_ssh: {
    side: 'remote',
    state: 'down',
    message: p => `${p.host} port ${p.port} is not an SSH server${p.detail}`,
    fixes: p => [
      text('Correct host and port in the machine line'),
      here(`nc ${shellQuote(p.host)} ${shellQuote(p.port)}`),
    ],
    meaning:
      'Something else than SSH listens on that port: a web server, a proxy or another service.',
    diagnosis: 'nc HOST PORT prints what it sends first.',
  },
  banner_timeout: {
    side: 'remote',
    state: 'down',
    message: p =>
      `${p.host} port ${p.port} accepts TCP connections but sends no SSH banner`,
    fixes: () => [
      text('sshd hangs, or another program uses its port. Restart it'),
      controlSshd('restart'),
    ],
    meaning:
      'The connection is accepted and then nothing arrives: a frozen sshd, a tarpit, or a machine out of memory or processes.',
    diagnosis: "The builder's console; a restart of sshd often helps.",
  },
  login_timeout: {
    side: 'remote',
    state: 'down',
    message: p => `sshd on ${p.host} does not finish the login${p.detail}`,
    fixes: () => [
      text(
        'A directory service (LDAP, sssd) or a PAM module may hang. Time a login on the builder, and read the log of sshd',
      ),
      onBuilderAsRoot('time getent passwd "$USER"'),
      readSshdLog,
    ],
    meaning:
      'The key exchange succeeded, and then authentication or the opening of a session got no answer for a minute: a directory service, a PAM module or a home directory on the network hangs.',
    diagnosis:
      'ssh -vvv HOST shows the last step. journalctl -u ssh -u sshd on the builder.',
  },
  sshd_closed: {
    side: 'remote',
    state: 'down',
    message: p =>
      `sshd on ${p.host} closes the connection before authentication${p.detail}`,
    fixes: () => [
      text(
        'Find the reason in its log. PerSourcePenaltyExemptList in sshd_config exempts this machine from penalties',
      ),
      readSshdLog,
    ],
    meaning:
      "sshd closes the connection before the authentication: penalties for failed logins (OpenSSH 9.8 and newer), a proxy without a backend, or a crash of sshd's children.",
    diagnosis: 'journalctl -u ssh -u sshd on the builder.',
  },
  sessions_forbidden: {
    side: 'remote',
    state: 'down',
    message: p => `sshd on ${p.host} allows no session (MaxSessions)${p.detail}`,
    fixes: () => [
      text('Remove MaxSessions 0 from sshd_config, also from its Match blocks'),
      onBuilderAsRoot('sshd -T | grep -i maxsessions'),
      controlSshd('reload'),
    ],
    meaning:
      'The login succeeds, but sshd opens no session, so Nix cannot start its command. MaxSessions 0 allows only forwardings, as on a jump host.',
    diagnosis: 'On the builder, `sshd -T` prints the limit that is in effect.',
  },
  auth_method_refused: {
    side: 'remote',
    state: 'down',
    message: p => `sshd on ${p.host} accepts no key alone for ${p.user}${p.detail}`,
    fixes: p => [
      text(
        `Let ${p.user} log in with a key only: PubkeyAuthentication yes, and AuthenticationMethods publickey, in sshd_config or in a Match block of it`,
      ),
      onBuilderAsRoot(
        `sshd -T -C user=${shellQuote(p.user)} | grep -iE 'authenticationmethods|pubkeyauthentication'`,
      ),
      onBuilderAsRoot('systemctl reload ssh'),
    ],
    meaning:
      'sshd does not offer public keys, or demands another method after the key (a password, a one-time code, a second key). Nix cannot answer that.',
    diagnosis: 'On the builder, `sshd -T -C user=USER` prints the effective settings.',
  },
  auth_check_required: {
    side: 'remote',
    state: 'down',
    message: p =>
      `${p.host} asks for an additional check at the login, which no build can pass${p.detail}`,
    fixes: p => [
      text(
        'Let this machine log in without a check. Tailscale SSH: set "action": "accept" instead of "check" in the ssh section of the access controls, or use the sshd of the builder at another port',
      ),
      text('To pass the check once, open the address that ssh prints'),
      hereAsRoot(`${p.ssh} ${p.dest} true`),
    ],
    meaning:
      'The SSH server of the builder wants a person to confirm the login in a browser. Until then the login waits, and so does every build.',
    diagnosis: 'The evidence has the banner with the address.',
  },
  jump_dns: {
    side: 'remote',
    state: 'down',
    message: p =>
      `the jump host ${p.behind} cannot resolve the name ${p.address}${p.detail}`,
    fixes: p => [
      text(
        `Add the name to the resolver or to /etc/hosts of the jump host ${p.behind}, or set HostName to an address for ${p.host} in root's ~/.ssh/config`,
      ),
      hereAsRoot(`ssh ${shellQuote(p.behind)} getent ahosts ${shellQuote(p.address)}`),
    ],
    meaning:
      'With ProxyJump the name of the builder is resolved on the jump host, not on this machine.',
    diagnosis: 'ssh JUMP getent ahosts NAME.',
  },
  forwarding_forbidden: {
    side: 'remote',
    state: 'down',
    message: p =>
      `sshd on ${p.host} forbids forwarding, so it is no jump host${p.detail}`,
    fixes: () => [
      text(
        'Set AllowTcpForwarding yes (or local) and DisableForwarding no in sshd_config for this user, and remove no-port-forwarding or restrict from its key',
      ),
      onBuilderAsRoot('sshd -T | grep -iE "forwarding|permitopen"'),
      controlSshd('reload'),
    ],
    meaning:
      'A jump host forwards a TCP connection to the builder. Its sshd, or the options of the key in authorized_keys, do not allow that.',
    diagnosis: 'ssh -v HOST prints "open failed: administratively prohibited".',
  },
  kex_mismatch: {
    side: 'remote',
    state: 'down',
    message: p => `ssh and ${p.host} have no common algorithm${p.detail}`,
    fixes: p => [
      text('Update the older side, or allow the algorithm'),
      hereAsRoot(`${p.ssh} -v ${p.dest} true`),
    ],
    meaning:
      'The two sides have no common algorithm for key exchange, host key, cipher or MAC: one of them is much older or very strict.',
    diagnosis: 'sudo ssh -v HOST prints both offers.',
  },
  nologin: {
    side: 'remote',
    state: 'down',
    message: p => `user ${p.user} on ${p.host} has no login shell${p.detail}`,
    fixes: p => [
      text(`Give the user a shell (NixOS: users.users.${p.user}.useDefaultShell = true)`),
      onBuilderAsRoot(`usermod -s /bin/sh ${shellQuote(p.user)}`),
    ],
    meaning:
      'The account exists and its shell is nologin, which prints text where Nix expects its protocol.',
    diagnosis: 'getent passwd USER on the builder.',
  },
  session_ended: {
    side: 'remote',
    state: 'down',
    message: p =>
      `the session of ${p.user} on ${p.host} ends before Nix starts${p.detail}`,
    fixes: p => [
      text(
        'sshd, PAM, a forced command or a start-up file of the shell ends the session. See what it prints',
      ),
      hereAsRoot(`${p.ssh} ${p.dest} echo works`),
      onBuilder(
        'ls -l /etc/nologin ~/.bashrc ~/.zshenv ~/.cshrc ~/.config/fish/config.fish',
      ),
      readSshdLog,
    ],
    meaning:
      'The key is accepted, but the remote command does not run: /etc/nologin exists (a shutdown or a boot that has not finished), PAM refuses the account or its session, the account must change its password, a forced command is not Nix, or a start-up file of the shell exits.',
    diagnosis: 'ssh HOST echo works must print works.',
  },
  process_limit: {
    side: 'remote',
    state: 'down',
    message: p =>
      `${p.user} on ${p.host} cannot start a process, so Nix does not start${p.detail}`,
    fixes: p => [
      text('Find what uses the processes of this user, or raise the limit'),
      onBuilderAsRoot(`ps -u ${shellQuote(p.user)} -o pid,etime,args | tail`),
      onBuilderAsRoot(`grep -r nproc /etc/security/limits.conf /etc/security/limits.d`),
      onBuilderAsRoot(
        'systemctl show user.slice nix-daemon ssh -p TasksMax -p TasksCurrent',
      ),
    ],
    meaning:
      'The limit of processes of the user, of its cgroup or of the machine is reached. The shell that sshd starts cannot start Nix.',
    diagnosis: 'ulimit -u as that user; cat /proc/sys/kernel/pid_max; ps -e | wc -l.',
  },
  shell_reads_input: {
    side: 'remote',
    state: 'down',
    message: p =>
      `a start-up file of ${p.user} on ${p.host} reads standard input, which belongs to Nix`,
    fixes: p => [
      text('Let start-up files read only in interactive shells'),
      onBuilder(
        "grep -nE '(^|[ ;])(read|select|cat)( |$)' ~/.bashrc ~/.profile ~/.zshenv ~/.cshrc",
      ),
      hereAsRoot(`printf '' | ${p.ssh} ${p.dest} echo works`),
    ],
    meaning:
      'A start-up file of the remote shell asks a question or reads its input. Nix sends its protocol there, and both sides wait forever.',
    diagnosis: 'ssh HOST echo works hangs; with an empty input (ssh -n) it prints works.',
  },
  shell_hangs: {
    side: 'remote',
    state: 'down',
    message: p => `the login shell of ${p.user} on ${p.host} does not run a command`,
    fixes: p => [
      text(
        'A start-up file of the shell, /etc/ssh/sshrc or ~/.ssh/rc waits or never ends: for a file server, a directory service, a program. Find which',
      ),
      hereAsRoot(`time ${p.ssh} ${p.dest} true`),
      onBuilderAsRoot(`ps -fu ${shellQuote(p.user)}`),
    ],
    meaning:
      'sshd accepts the key and starts the login shell, but the shell does not even print a word. Nix does not start, and every build hangs.',
    diagnosis: 'ssh HOST true must end at once.',
  },
  remote_environment: {
    side: 'remote',
    state: 'down',
    message: p =>
      `Nix uses another store, daemon or configuration for ${p.user} on ${p.host}, because of ${p.variables}${p.detail}`,
    fixes: p => [
      text(
        `Remove ${p.variables} from the start-up files of the shell, from ~/.ssh/environment, /etc/environment, SetEnv of sshd_config, or nix.conf`,
      ),
      hereAsRoot(`${p.ssh} ${p.dest} 'env | grep ^NIX_'`),
      onBuilder(
        "grep -nE 'NIX_|^store' ~/.bashrc ~/.zshenv ~/.profile ~/.ssh/environment /etc/environment /etc/bash.bashrc /etc/ssh/sshd_config /etc/nix/nix.conf",
      ),
    ],
    meaning:
      'Nix on the builder obeys variables like NIX_REMOTE, NIX_STORE_DIR or NIX_STATE_DIR, and the setting store. One of them is set, and Nix fails.',
    diagnosis: "ssh HOST 'env | grep ^NIX_'.",
  },
  shell_noise: {
    side: 'remote',
    state: 'down',
    message: p =>
      `start-up files or a forced command of ${p.user} on ${p.host} print to standard output and break the protocol${p.detail}`,
    fixes: p => [
      text('Find what prints, and print only in interactive shells'),
      showOutput(p, ''),
    ],
    meaning:
      'A start-up file of the remote shell prints to standard output (a greeting, a locale warning). Nix reads those bytes as protocol, and every build fails with "protocol mismatch".',
    diagnosis: 'ssh HOST true must print nothing.',
  },
  protocol_mismatch: {
    side: 'remote',
    state: 'down',
    message: p => `${p.host} does not speak the protocol of ${p.scheme}${p.detail}`,
    fixes: p => [
      text(
        'A forced command may serve the other protocol: use ssh-ng:// for nix-daemon --stdio and ssh:// for nix-store --serve --write',
      ),
      showOutput(p, '-c 200'),
    ],
    meaning:
      "The builder speaks one of Nix's protocols, but not that of the URI: typically a forced command nix-daemon --stdio behind ssh://, or nix-store --serve behind ssh-ng://.",
    diagnosis: 'The line of the key in authorized_keys on the builder.',
  },
  protocol: {
    side: 'remote',
    state: 'down',
    message: p => `${p.host} violates the protocol${p.detail}`,
    fixes: p => [
      text('Compare the Nix versions of both sides, and see what the builder sends'),
      showOutput(p, '-c 200'),
    ],
    meaning:
      'The data from the builder violates the protocol (invalid lengths, unknown tags). builder-monitor closed the connection at the position in the message.',
    diagnosis: 'The versions of both sides, and what else may write into that stream.',
  },
  nix_missing: {
    side: 'remote',
    state: 'down',
    message: p =>
      p.program.includes('/')
        ? `${p.program} does not exist on ${p.host}`
        : `no ${p.program} in the PATH of ${p.user} on ${p.host}`,
    fixes: p =>
      p.program.includes('/')
        ? [
            text(
              `Correct the path in remote-program of the store URI, in command= of the key in authorized_keys of ${p.user}, or in ForceCommand of sshd_config on ${p.host}`,
            ),
            onBuilder(
              'ls -l /nix/var/nix/profiles/default/bin/ /run/current-system/sw/bin/nix*',
            ),
          ]
        : [
            text(
              `Install Nix there, or name the program in the store URI: ${p.uri}?remote-program=/nix/var/nix/profiles/default/bin/${p.program}`,
            ),
          ],
    meaning:
      'The login works, but there is no Nix in the PATH of a non-interactive shell. Frequent on macOS, where only login shells get it.',
    diagnosis: 'ssh HOST "command -v nix-daemon nix-store".',
  },
  nix_not_executable: {
    side: 'remote',
    state: 'down',
    message: p => `${p.user} cannot execute ${p.program} on ${p.host}${p.detail}`,
    fixes: p => [
      text(
        /shared librar|interpreter|binary file|Exec format/.test(p.detail)
          ? 'Reinstall Nix there. A memory limit (ulimit -v) or LD_LIBRARY_PATH in a start-up file of the shell causes this too'
          : 'Correct its permissions',
      ),
      onBuilder(`ls -lL $(command -v ${shellQuote(p.program)})`),
    ],
    meaning:
      'Nix is installed, but this user cannot execute it: permissions, another architecture, or a shared library that is missing or does not fit.',
    diagnosis: 'ls -lL on the program, and noexec mounts.',
  },
  nix_version: {
    side: 'remote',
    state: 'down',
    message: p =>
      `the Nix versions of this machine and ${p.host} are incompatible${p.detail}`,
    fixes: () => [
      text('Update the older one'),
      here('nix --version'),
      onBuilder('nix --version'),
    ],
    meaning:
      'The two Nix versions have no protocol version in common, or a newer Nix wrote the store there.',
    diagnosis: 'nix --version on both machines.',
  },
  daemon_down: {
    side: 'remote',
    state: 'down',
    message: p => `nix-daemon on ${p.host} is not running${p.detail}`,
    fixes: () => restartDaemon('builder'),
    meaning:
      "The login works, but nothing answers on nix-daemon's socket. After a crash loop the socket unit stops (service-start-limit-hit) until it is reset. Over ssh:// Nix notices only after it accepted the build, and the build fails.",
    diagnosis: 'systemctl status nix-daemon.socket nix-daemon.service on the builder.',
  },
  daemon_frozen: {
    side: 'remote',
    state: 'down',
    message: p => `nix-daemon on ${p.host} accepts connections but does not respond`,
    fixes: () => restartDaemon('builder'),
    meaning:
      'nix-daemon accepts the connection and never responds. Builds hang forever, because Nix has no timeout here.',
    diagnosis:
      'ps and cat /proc/PID/stack on the builder; a stopped or swapping process.',
  },
  store_locked: {
    side: 'remote',
    state: 'down',
    message: p => `the Nix store of ${p.host} is locked by another process${p.detail}`,
    fixes: p => [
      text('Wait for the process if it makes progress. If it does not, end it'),
      ...(p.pid === undefined ? [] : [showProcess(p.pid)]),
      onBuilderAsRoot(`kill ${p.pid ?? 'PID'}`),
    ],
    meaning:
      'A process holds the lock of the whole Nix store (big-lock) or of its database, and everything else that opens the store waits for it without a limit: a process that is stopped or hangs, an update of the database, or a backup.',
    diagnosis:
      'On the builder, fuser -v /nix/var/nix/db/big-lock /nix/var/nix/db/db.sqlite-shm.',
  },
  daemon_denied: {
    side: 'remote',
    state: 'down',
    message: p => `nix-daemon on ${p.host} denies access to ${p.user}${p.detail}`,
    fixes: p => [
      text(
        `Add ${p.user} to allowed-users and trusted-users in /etc/nix/nix.conf on ${p.host} (Debian: also sudo usermod -aG nix-users ${p.user}), then restart nix-daemon`,
      ),
      ...restartDaemon('builder'),
    ],
    meaning:
      'nix-daemon rejects this user: allowed-users, the group of the socket (nix-users on Debian), or the build group.',
    diagnosis:
      'ls -ld /nix/var/nix/daemon-socket; nix show-config | grep users, on the builder.',
  },
  daemon_crash: {
    side: 'remote',
    state: 'down',
    message: p => `nix-daemon on ${p.host} ends the connection unexpectedly${p.detail}`,
    fixes: () => [
      text('Find the reason in its log. A full disk or lack of memory causes this too'),
      readDaemonLog,
    ],
    meaning:
      'The connection to nix-daemon ends early, without a reason. A full disk and the OOM killer cause this; where the probes find one of them, that one is reported instead.',
    diagnosis: 'journalctl -u nix-daemon on the builder.',
  },
  disk_full: {
    side: 'remote',
    state: 'down',
    message: p => `the disk of ${p.host} is full${p.detail}`,
    fixes: () => [
      text('Free space as root, because nix-daemon cannot do it on a full disk'),
      collectGarbage,
      ...findUsedSpace,
    ],
    meaning:
      'There is no space to register a build. A daemon on a full disk cannot collect garbage for users any more: only root can.',
    diagnosis: 'df -h /nix/store /tmp on the builder.',
  },
  inodes_full: {
    side: 'remote',
    state: 'down',
    message: p => `the store of ${p.host} has no free inodes${p.detail}`,
    fixes: () => [
      text('Free inodes as root'),
      collectGarbage,
      onBuilder('df -i /nix/store'),
    ],
    meaning: 'The filesystem has space but no inodes: the store has many small files.',
    diagnosis: 'df -i /nix/store on the builder.',
  },
  store_read_only: {
    side: 'remote',
    state: 'down',
    message: p => `the store of ${p.host} is read-only${p.detail}`,
    fixes: () => [
      text('Find the cause (disk errors?), then mount it writable'),
      onBuilderAsRoot('dmesg | tail'),
      onBuilderAsRoot('mount -o remount,rw /nix'),
    ],
    meaning:
      "The store's database is not writable. Nix 2.34 fails at once, older versions hang. Filesystems become read-only after disk errors. (NixOS mounts /nix/store itself read-only, which is normal and not meant here.)",
    diagnosis: 'dmesg, and grep /nix /proc/mounts, on the builder.',
  },
  copy_failed: {
    side: 'remote',
    state: 'down',
    message: p => `copying inputs or outputs of ${p.host} failed${p.detail}`,
    fixes: p => [
      text(
        `Copy a path by hand: nix-store --export $(nix-store -qR PATH) | sudo ${p.ssh} ${p.dest} nix-store --import`,
      ),
    ],
    meaning:
      'The builder is reachable, but inputs could not be copied to it or outputs back.',
    diagnosis: 'The evidence; nix copy of one path by hand.',
  },
  build_failed: {
    side: 'remote',
    state: 'down',
    message: p => `the canary build on ${p.host} failed${p.detail}`,
    fixes: () => [
      text('Read the build log in the evidence and the log of nix-daemon'),
      readDaemonLog,
    ],
    meaning:
      'The canary build writes one line into one file, and that failed: the sandbox, the build users or the store there are broken.',
    diagnosis: 'The log in the evidence, and journalctl -u nix-daemon on the builder.',
  },
  builder_hook_failed: {
    side: 'remote',
    state: 'down',
    message: p => `the post-build-hook of ${p.host} fails${p.detail}`,
    fixes: () => [
      text(
        'Correct post-build-hook in nix.conf of the builder, or remove it, then restart nix-daemon there',
      ),
      onBuilder(
        'nix config show post-build-hook || nix show-config | grep post-build-hook',
      ),
      ...restartDaemon('builder'),
    ],
    meaning:
      'nix-daemon of the builder runs the program of its own setting post-build-hook after each build, and the program ended with an error. Nix then reports the build as failed, although the output was built.',
    diagnosis:
      'The log in the evidence has lines that begin with "post-build-hook:". Run the hook on the builder as root, with OUT_PATHS set.',
  },
  build_timeout: {
    side: 'remote',
    state: 'down',
    message: p => `the canary build on ${p.host} did not finish in time${p.detail}`,
    fixes: p =>
      p.pid === undefined
        ? [
            text('Find out what it waits for'),
            onBuilder('ps -ef | grep nix'),
            readDaemonLog,
          ]
        : [
            text('End the process that blocks it, if it makes no progress'),
            showProcess(p.pid),
            onBuilderAsRoot(`kill ${p.pid}`),
          ],
    meaning:
      "A trivial build did not finish within a minute. Nix's own --timeout has no effect on remote builds.",
    diagnosis: 'The message names the phase in which it hangs.',
  },
  oom: {
    side: 'remote',
    state: 'down',
    message: p => `the build on ${p.host} was killed: out of memory${p.detail}`,
    fixes: () => [
      text('Raise MemoryMax of nix-daemon.service, or lower max-jobs'),
      onBuilderAsRoot('journalctl -k | grep -i oom'),
    ],
    meaning:
      "The kernel killed the build for lack of memory: of the machine, or of nix-daemon's own limit (MemoryMax).",
    diagnosis: 'journalctl -k | grep -i oom on the builder.',
  },
  exec_format: {
    side: 'remote',
    state: 'down',
    message: p => `${p.host} cannot execute programs for ${p.system}`,
    fixes: p => [
      text(
        `Remove the system from field 2 of the machine line, or enable its emulation on ${p.host} (NixOS: boot.binfmt.emulatedSystems; Debian: the command)`,
      ),
      onBuilderAsRoot('apt-get install qemu-user-static'),
      onBuilder('ls /proc/sys/fs/binfmt_misc'),
    ],
    meaning:
      'The machine line advertises a system whose programs the builder cannot execute: extra-platforms in its nix.conf lists the system, and the emulator (binfmt_misc) is missing. The canary of each system executes a program of that system with 132 bytes, because the shell of a canary is one of the machine itself.',
    diagnosis: 'ls /proc/sys/fs/binfmt_misc on the builder.',
  },
  remote_config_invalid: {
    side: 'remote',
    state: 'down',
    message: p => `nix.conf on ${p.host} is malformed, so Nix does not start${p.detail}`,
    fixes: p => [
      text(
        `Correct the line that is named in /etc/nix/nix.conf on ${p.host}, then restart nix-daemon`,
      ),
      ...restartDaemon('builder'),
    ],
    meaning:
      "A line of the builder's nix.conf (or of a file that it includes) is not a setting, or its value is invalid. Every Nix program there ends with it at once, nix-daemon --stdio and nix-store --serve included; the running daemon has read the file before, but fails at its next start.",
    diagnosis: 'nix show-config on the builder prints the same error.',
  },
  builds_disabled: {
    side: 'remote',
    state: 'down',
    message: p => `max-jobs is 0 on ${p.host}, so it starts no build`,
    fixes: p => [
      text(
        `Set max-jobs = auto in /etc/nix/nix.conf on ${p.host} (NixOS: nix.settings.max-jobs = "auto"), then restart nix-daemon`,
      ),
      ...restartDaemon('builder'),
    ],
    meaning:
      'max-jobs in the builder\'s nix.conf is 0. There it does not limit the number of builds (each has its own connection), but 0 forbids all of them: "unable to start any build", "local builds are disabled". Often the nix.conf of a client was copied to the builder.',
    diagnosis:
      'grep -r max-jobs /etc/nix on the builder; nix config show max-jobs (before 2.20: nix show-config).',
  },
  system_missing: {
    side: 'remote',
    state: 'down',
    message: p => `${p.host} does not build for ${p.missing}${p.detail}`,
    fixes: p => [
      text(
        `Correct field 2 of the machine line (the builder offers ${p.offered}), or let it build for ${p.missing}: first its emulator (NixOS: boot.binfmt.emulatedSystems, which does the rest; Debian: qemu-user-static), then extra-platforms = ${p.missing} in its nix.conf`,
      ),
    ],
    meaning:
      "The machine line advertises a system that the builder's Nix does not build for. Nix sends such builds there, and they fail.",
    diagnosis: 'nix show-config | grep -E "^(system|extra-platforms)" on the builder.',
  },
  // ------------------------------------------------------------------------------------------------ degraded
  slow_login: {
    side: 'remote',
    state: 'degraded',
    message: p => `a login to ${p.host} is slow${p.detail}`,
    fixes: p => [
      text(
        'Find what takes the time: a directory service (LDAP, sssd), PAM, UseDNS of sshd, or start-up files of the shell',
      ),
      here(`time ${p.ssh} ${p.dest} true`),
      onBuilder('time bash -lc true'),
    ],
    meaning:
      'The builder works, but the login, or the time from the login until Nix answers, is long. Nix opens a new login for each build.',
    diagnosis:
      'The time of each phase of the login is on the status page and in nix_builder_ssh_phase_duration_seconds. ssh -vvv HOST true shows where it waits.',
  },
  slow_build: {
    side: 'remote',
    state: 'degraded',
    message: p => `a tiny build on ${p.host} is slow${p.detail}`,
    fixes: () => [
      text('The builder may be overloaded, or short of memory. Look at its load'),
      onBuilder('uptime'),
      onBuilder('ps -eo pcpu,pmem,args --sort=-pcpu | head'),
    ],
    meaning:
      'The canary, a build that does nothing, takes long. Builds work and take longer than they need.',
    diagnosis:
      'The phases of the canary on the status page; load and memory of the builder.',
  },
  not_trusted: {
    side: 'remote',
    state: 'degraded',
    message: p =>
      `Nix on ${p.host} does not trust ${p.user}, so builds with unsigned inputs fail`,
    fixes: p => [
      text(
        `Add ${p.user} to trusted-users in /etc/nix/nix.conf on ${p.host} (NixOS: nix.settings.trusted-users), then restart nix-daemon`,
      ),
      ...restartDaemon('builder'),
    ],
    meaning:
      'Nix on the builder does not trust this user. It refuses unsigned inputs from this machine, so builds that need them fail, while trivial builds without inputs may still work: that is why the canary has an unsigned input. Trusted users are root-equivalent on the builder.',
    diagnosis: 'nix show-config | grep trusted-users on the builder.',
  },
  feature_missing: {
    side: 'remote',
    state: 'degraded',
    message: p => `${p.host} does not offer the advertised feature ${p.missing}`,
    fixes: p => [
      text(
        `Remove ${p.missing} from the machine line, or add it to system-features in nix.conf on ${p.host} (extra-system-features = ${p.missing}) and restart nix-daemon`,
      ),
      ...restartDaemon('builder'),
    ],
    meaning:
      "The machine line advertises a feature that the builder's Nix does not have. Builds that require it are sent there and fail; others work.",
    diagnosis: 'nix show-config | grep system-features on the builder.',
  },
  below_min_free: {
    side: 'remote',
    state: 'degraded',
    message: p =>
      `${p.available} free on ${p.path} of ${p.host}, below its min-free of ${p.minFree}`,
    fixes: () => [
      text('Collect garbage: min-free does not keep up'),
      collectGarbage,
      ...findUsedSpace,
    ],
    meaning:
      "The store has less space than the builder's own min-free. Nix collects garbage during builds until max-free; if the space stays below, nothing is left to delete or max-free is too small.",
    diagnosis:
      'nix show-config | grep -E "m(in|ax)-free" and nix-store --gc --print-dead | wc -l on the builder.',
    alert: 'NixBuilderGCOverdue',
  },
  disk_low: {
    side: 'remote',
    state: 'degraded',
    message: p =>
      `${p.available} free on ${p.path} of ${p.host}, and usual builds need ${p.minFree}`,
    fixes: p => [
      collectGarbage,
      onBuilder(`df -h ${shellQuote(p.path)}`),
      text(
        `If little is freed, enlarge the filesystem; for a build directory set build-dir (Nix 2.30) or TMPDIR of nix-daemon to a larger one`,
      ),
    ],
    meaning:
      'A canary writes some bytes and still succeeds, but builds with usual inputs, sources or outputs end with "No space left on device". The limits are 512 MiB for the store and for the build directory, 64 MiB for the database, 16 MiB for build logs, or a fortieth of a smaller filesystem.',
    diagnosis: 'df -h /nix/store /nix/var/nix /nix/var/log/nix /tmp on the builder.',
  },
  // ---------------------------------------------------------------------------------------------------- info
  orphaned_sessions: {
    side: 'remote',
    state: 'info',
    message: p =>
      `${p.available} Nix ${p.available === '1' ? 'process' : 'processes'} on ${p.host} ${p.available === '1' ? 'has' : 'have'} no client any more${p.detail}`,
    fixes: p => [
      text('End them if no build of theirs is still wanted'),
      onBuilder(`ps -o pid,ppid,etime,args -p ${(p.pid ?? '-').replaceAll(' ', ',')}`),
      onBuilderAsRoot(`kill ${p.pid ?? '-'}`),
    ],
    meaning:
      'nix-store --serve or nix-daemon --stdio still runs although its ssh session has ended: the client was switched off, or its network was cut. Such processes hold memory, and sometimes locks and build users.',
    diagnosis:
      'ps -eo pid,ppid,etime,args on the builder: these processes have the parent 1. ClientAliveInterval in sshd_config ends dead sessions soon.',
  },
  builder_substituter_unreachable: {
    side: 'remote',
    state: 'info',
    message: p => `a substituter of ${p.host} does not answer there${p.detail}`,
    fixes: p => [
      onBuilder(`curl -sS -m 2 ${shellQuote(`${p.uri}/nix-cache-info`)}`),
      text(
        'Repair the network of the builder or its proxy, or remove the substituter from nix.conf there',
      ),
    ],
    meaning:
      'With builders-use-substitutes, this builder gets the inputs of builds from its own substituters. One that does not answer delays builds, or makes them fail. The request is made by the user of the login: nix-daemon may use another proxy.',
    diagnosis:
      'nix config show substituters on the builder, then curl URL/nix-cache-info.',
  },
  ssh_flood: {
    side: 'remote',
    state: 'degraded',
    message: p =>
      `the SSH server of ${p.host} sends far more than a login needs${p.detail}`,
    fixes: p => [
      text(
        'Find out which program answers there: sshd does not do this. Update it, or remove the builder if it may be compromised',
      ),
      onBuilderAsRoot(`ss -ltnp sport = :${shellQuote(p.port)}`),
      here(`ssh-keyscan -p ${shellQuote(p.port)} ${shellQuote(p.host)}`),
    ],
    meaning:
      'The connection exceeded the limits for traffic that belongs to no command: requests, banners, ignored data, key exchanges, or data that nothing asked for. A faulty or hostile server does this. builder-monitor closed the connection, and uses OpenSSH for the next hour, in a process of its own.',
    diagnosis: 'ssh -vvv HOST true prints each request of the server.',
  },
  sshd_throttled: {
    side: 'remote',
    state: 'info',
    message: p => `sshd on ${p.host} rejects logins: too many at once${p.detail}`,
    fixes: () => [
      text(
        'Raise MaxStartups in sshd_config (for example 100:30:200), and exempt this machine with PerSourcePenaltyExemptList',
      ),
    ],
    meaning:
      'sshd rejects logins because too many are in progress (MaxStartups, default 10:30:100), or because it penalizes this address. Real builds are rejected too.',
    diagnosis: 'journalctl -u ssh on the builder: "drop connection".',
  },
  gc_wait: {
    side: 'remote',
    state: 'info',
    message: p => `a garbage collection on ${p.host} blocks builds${p.detail}`,
    fixes: p =>
      p.pid === undefined
        ? [text('No action needed: it ends by itself')]
        : [
            text('No action needed: it ends by itself, unless it makes no progress'),
            showProcess(p.pid),
          ],
    meaning: 'A garbage collection holds the lock that builds need. It ends by itself.',
    diagnosis: 'ps -ef | grep gc on the builder.',
  },
  forced_command: {
    side: 'remote',
    state: 'info',
    message: p =>
      `${p.user} on ${p.host} is limited to one command, so its resources are not reported`,
    fixes: () => [text(noResources)],
    meaning:
      'The key is limited to one command (restrict,command="nix-daemon --stdio"). That is good practice: builds work, but disk and memory are not readable.',
    diagnosis: 'The line of the key in authorized_keys on the builder.',
  },
  no_shell: {
    side: 'remote',
    state: 'info',
    message: p =>
      `${p.user} on ${p.host} has no shell, so its resources are not reported`,
    fixes: () => [text(noResources)],
    meaning:
      'The account has no shell that could run the telemetry script. Builds are not affected.',
    diagnosis: 'ssh HOST true.',
  },
  clock_skew: {
    side: 'remote',
    state: 'info',
    message: p => `the clock of ${p.host} is wrong${p.detail}`,
    fixes: () => [onBuilderAsRoot('timedatectl set-ntp true')],
    meaning:
      'The clocks of the two machines differ. This affects certificates, timestamps and builds that compare times, such as make.',
    diagnosis: 'date on both machines.',
    alert: 'NixBuilderClockSkew',
  },
  nix_vulnerable: {
    side: 'remote',
    state: 'info',
    message: p =>
      `Nix on ${p.host} has a known hole in its daemon, unless the distribution has patched it${p.detail}`,
    fixes: p => [
      text(
        `Update Nix on ${p.host} to ${p.offered} or newer, then restart nix-daemon; until then only allow trusted users (allowed-users)`,
      ),
      onBuilder('nix --version'),
    ],
    meaning:
      'A security advisory applies to this version of Nix: a user who may build there can become root or change the store. The version number decides, so a distribution that patches without a new number (Debian: apt changelog nix-bin) is not recognized. This is a note and causes no alert; the label advisory of nix_builder_info has it.',
    diagnosis:
      'nix --version on the builder, and the advisory: https://github.com/NixOS/nix/security/advisories.',
  },
  rebooted: {
    side: 'remote',
    state: 'info',
    message: p => `${p.host} was rebooted${p.detail}`,
    fixes: () => [text('No action needed if the reboot was intended')],
    meaning: 'The builder was restarted since the previous probe.',
    diagnosis: 'last reboot on the builder.',
  },
} as const satisfies Partial<Record<Kind, KindInfo>>
