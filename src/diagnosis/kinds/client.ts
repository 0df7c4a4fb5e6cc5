import type { Fix, Kind } from '../../model/index.ts'
import { shellQuote } from '../../nix/protocol/store-command.ts'
import {
  here,
  hereAsRoot,
  onBuilder,
  onBuilderAsRoot,
  readSshdLog,
  renewKnownHosts,
  restartDaemon,
  text,
  type KindInfo,
  type KindParams,
} from './kind-info.ts'

/** The path of a private key for a shell, which expands a leading `~`. */
const keyArgument = ({ key }: KindParams): string =>
  key.startsWith('~') ? key : shellQuote(key)

const copiedKeys =
  'Where the service has copies of keys (LoadCredential), it reads them at start: after a change of a key, run sudo systemctl restart builder-monitor.'

/** The fix of `ssh_settings_differ`, by the setting that differs. */
const differenceFixes = (p: KindParams): readonly Fix[] => {
  if (p.field === 'known_hosts')
    return [
      text('Give the verified host key to all users'),
      here(
        `ssh-keygen -F ${shellQuote(p.host)} -f ${shellQuote(p.file)} | sudo tee -a /etc/ssh/ssh_known_hosts`,
      ),
    ]
  if (p.field === 'user')
    return [text(`Add the user to the machine line: ${p.scheme}://USER@${p.host}`)]
  if (p.field === 'identity files' || p.field === 'agent')
    return [
      text(
        `Add the key to field 3 of the machine line; ${p.sshUser} must be able to read it`,
      ),
    ]
  if (p.whose === 'nix-daemon')
    return [
      text('Give both services the same NIX_SSHOPTS'),
      hereAsRoot('systemctl edit nix-daemon'),
      hereAsRoot('systemctl show nix-daemon -p Environment'),
    ]
  return [
    text('Compare both settings, and set what differs in /etc/ssh/ssh_config'),
    hereAsRoot(`ssh -G ${p.dest}`),
    here(`ssh -G ${p.dest}`),
  ]
}

const nixSshOptsFixes = (instruction: string): readonly Fix[] => [
  text(instruction),
  hereAsRoot('systemctl edit nix-daemon'),
  hereAsRoot('systemctl show nix-daemon -p Environment'),
]

const turnLineOff = ({ file, line }: KindParams): Fix =>
  hereAsRoot(`sed -i ${shellQuote(`${line ?? ''}s/^/# /`)} ${shellQuote(file)}`)

/** The fix of `ssh_option`: remove it, or set another value for this host. */
const optionFixes = (p: KindParams): readonly Fix[] => {
  if (p.where === 'NIX_SSHOPTS')
    return nixSshOptsFixes(
      `Remove ${p.value === '-' ? p.option : p.value} from NIX_SSHOPTS`,
    )
  const override =
    p.use === undefined
      ? ''
      : `, or set ${p.option} ${p.use} for this host, before the line that sets it: Host ${p.host}`
  return [
    text(`Remove ${p.option} from ${p.where}${override}`),
    ...(p.line === undefined ? [] : [turnLineOff(p)]),
    hereAsRoot(`ssh -G ${p.dest} true | grep -i ${shellQuote(`^${p.option} `)}`),
  ]
}

/** Kinds of the machine that sends the builds. */
export const clientKinds = {
  config_invalid: {
    side: 'client',
    state: 'down',
    message: p =>
      `the builders list is malformed, so every build on this machine fails${p.detail}`,
    fixes: p => [
      text(`Correct the line at ${p.where}, then check the list again`),
      here('builder-monitor builders'),
    ],
    meaning:
      'Nix parses its list of builders as a whole, for every build. One malformed line, unreadable include or bad URI ends the build hook, and every build on this machine fails with "unexpected EOF reading a line", local builds too.',
    diagnosis:
      'builder-monitor builders prints the file, the line and what is wrong with it.',
  },
  hook_broken: {
    side: 'client',
    state: 'down',
    message: p => `the build hook of the local Nix ended before it replied${p.detail}`,
    fixes: () => [
      text('Find out why the hook ended'),
      here('builder-monitor builders'),
      here('nix show-config | grep build-hook'),
    ],
    meaning:
      'The local nix-build or its build hook ended before any builder was contacted. A custom build-hook, a broken Nix installation or a full local disk causes this.',
    diagnosis:
      'Run the reproduce command. Run it again with --builders "" to see whether a local build works.',
  },
  bad_hook_reply: {
    side: 'client',
    state: 'down',
    message: p =>
      `a line that ${p.host} prints at the login begins with "# ", which Nix takes for an answer of its build hook, so every build on this machine fails${p.detail}`,
    fixes: p => [
      text(
        `Hide the login banner from Nix: set LogLevel ERROR for ${p.host} in the ssh_config of the user that runs nix-daemon, before any other LogLevel`,
      ),
      here(
        `printf 'Host %s\\n  LogLevel ERROR\\n' ${shellQuote(p.host)} | sudo tee -a /root/.ssh/config`,
      ),
      text('Or remove the banner on the builder: Banner none in sshd_config'),
      onBuilderAsRoot('sshd -T | grep -i ^banner'),
      text(
        'If start-up files of the shell print the line, remove it there: they must print nothing for a command',
      ),
    ],
    meaning:
      'With ssh-ng everything that ssh prints to stderr reaches the nix process that reads the answers of its build hook. An answer is a line that begins with "# ", so a login banner such as "# Authorized use only #" ends the build, with every builder. With ssh the line becomes part of the build log.',
    diagnosis: 'sudo ssh HOST true prints the line. nix-build prints "bad hook reply".',
  },
  ssh_missing: {
    side: 'client',
    state: 'down',
    message: p =>
      p.whose === undefined
        ? 'no ssh program in PATH, so neither Nix nor builder-monitor can log in'
        : `no ssh program in the PATH of ${p.whose}, so builds cannot log in`,
    fixes: () => [
      text(
        'Install OpenSSH in the PATH of nix-daemon (Debian: sudo apt-get install openssh-client; NixOS: programs.ssh.package)',
      ),
    ],
    meaning:
      'Nix reaches builders with the program ssh in the PATH of nix-daemon. Without it every remote build fails with "unable to execute \'ssh\'".',
    diagnosis: 'systemctl show nix-daemon -p Environment, and which ssh as root.',
  },
  ssh_config_invalid: {
    side: 'client',
    state: 'down',
    message: p => `ssh rejects its own configuration at ${p.where}${p.detail}`,
    fixes: p =>
      p.reason === 'owner'
        ? [
            text('Only its owner, root or the user that runs ssh, may write the file'),
            hereAsRoot(`chown root: ${shellQuote(p.file)}`),
            hereAsRoot(`chmod 600 ${shellQuote(p.file)}`),
          ]
        : p.where === 'NIX_SSHOPTS'
          ? nixSshOptsFixes('Correct NIX_SSHOPTS of nix-daemon, and of builder-monitor')
          : [
              text(`Correct ${p.where}, or turn the line off`),
              ...(p.line === undefined ? [] : [turnLineOff(p)]),
              hereAsRoot(`ssh -G ${p.dest} true`),
            ],
    meaning:
      'ssh ends with an error before it connects, because a file of its configuration or an option of NIX_SSHOPTS is not valid, not readable, or writable by others. Every build that uses ssh fails.',
    diagnosis: 'sudo ssh -G HOST true prints the file, the line and the error.',
  },
  ssh_option: {
    side: 'client',
    state: 'down',
    message: p =>
      `the ssh option ${p.option}${p.value === '-' ? '' : ` ${p.value}`} (${p.where === '-' ? "ssh's configuration" : p.where}) stops builds on ${p.host}${p.detail}`,
    fixes: optionFixes,
    meaning:
      'An option of ssh_config or of NIX_SSHOPTS does not fit the way in which Nix uses ssh: one command without a terminal, with the Nix protocol as its input and output. A login by hand can work where builds fail or hang. docs/ssh.md lists the options, as tried with real builds.',
    diagnosis:
      'sudo ssh -G HOST prints all options; sudo ssh -v -G HOST prints the files that set them.',
  },
  dns: {
    side: 'client',
    state: 'down',
    message: p => `cannot resolve the host name ${p.host}${p.detail}`,
    fixes: p => [
      text(
        `Correct the name, or add it to /etc/hosts or to ${p.sshUser}'s ~/.ssh/config`,
      ),
      here(`getent ahosts ${shellQuote(p.host)}`),
    ],
    meaning:
      'The host name of the builder has no address on this machine. Often it is an alias that only one user has in ~/.ssh/config, while nix-daemon runs ssh as root; or it is host:port, which Nix before 2.31 passes to ssh as one name.',
    diagnosis:
      'sudo ssh -G HOST shows the name that root resolves; getent ahosts NAME asks the resolver.',
  },
  key_missing: {
    side: 'client',
    state: 'down',
    message: p => `the private key ${p.key} does not exist`,
    fixes: p => [
      text('Create the key, or correct field 3 of the machine line'),
      hereAsRoot(`ssh-keygen -t ed25519 -N '' -f ${keyArgument(p)}`),
    ],
    meaning:
      'The machine line or ssh_config names a private key that does not exist. ssh then tries its default keys, and those were rejected too.',
    diagnosis: 'sudo ls -l with the path in field 3 of the machine line.',
    moreAboutFix: copiedKeys,
  },
  key_unreadable: {
    side: 'client',
    state: 'down',
    message: p => `the private key ${p.key} cannot be used${p.detail}`,
    fixes: p => [
      text('Check that the file is a private key and that its owner can read it'),
      hereAsRoot(`ssh-keygen -y -f ${keyArgument(p)}`),
    ],
    meaning:
      'The file of the private key exists, but it is unreadable or not a private key.',
    diagnosis: 'sudo ssh-keygen -y -f KEY prints the public key of a valid one.',
    moreAboutFix: copiedKeys,
  },
  key_encrypted: {
    side: 'client',
    state: 'down',
    message: p =>
      `the private key ${p.key} has a passphrase, which nix-daemon cannot enter`,
    fixes: p => [
      text('Remove the passphrase'),
      hereAsRoot(`ssh-keygen -p -N '' -f ${keyArgument(p)}`),
    ],
    meaning:
      'A passphrase protects the private key. nix-daemon has no terminal and no agent, so it cannot unlock the key.',
    diagnosis: 'sudo ssh-keygen -y -f KEY asks for the passphrase.',
    moreAboutFix: copiedKeys,
  },
  key_permissions: {
    side: 'client',
    state: 'down',
    message: p =>
      `ssh ignores the private key ${p.key}: other users can read it${p.detail}`,
    fixes: p => [hereAsRoot(`chmod 600 ${keyArgument(p)}`)],
    meaning: 'ssh ignores private keys that other users can read.',
    diagnosis:
      'ls -l KEY: the mode must be 600 or 400, the owner the user that runs ssh (root).',
  },
  key_signing_failed: {
    side: 'client',
    state: 'down',
    message: p =>
      `${p.host} accepts the key ${p.key}, but this machine cannot sign with it${p.detail}`,
    fixes: p => [
      text(
        'A security key must be plugged in and touched at each login, which no build can do. Use a key without a device for builds',
      ),
      hereAsRoot(`ssh-keygen -t ed25519 -N '' -f /root/.ssh/nix-builder`),
      text(`Add /root/.ssh/nix-builder.pub to authorized_keys of ${p.user} on ${p.host}`),
      text('Then set field 3 of the machine line to /root/.ssh/nix-builder'),
      text('A key of an agent must be usable without a confirmation'),
    ],
    meaning:
      'The builder accepts the public key, and then ssh fails to sign: the device of a security key (sk-) or smart card is missing or waits for a touch, or an agent refuses.',
    diagnosis: 'sudo ssh -v HOST true prints "signing failed" and the reason.',
    moreAboutFix: copiedKeys,
  },
  pinned_key_invalid: {
    side: 'client',
    state: 'down',
    message: p =>
      `field 8 of the machine line of ${p.host} is no public host key${p.detail}`,
    fixes: p => [
      ...(p.use === undefined ? [] : [text(`Set field 8 to ${p.use}`)]),
      ...(p.reason === 'authority'
        ? [
            text(
              'Field 8 cannot hold an authority: set field 8 to -, and give the authority to all users of this machine',
            ),
            here(
              `printf '%s\\n' ${shellQuote(p.value)} | sudo tee -a /etc/ssh/ssh_known_hosts`,
            ),
          ]
        : [
            text('Set field 8 to what this command prints on the builder'),
            onBuilder('base64 -w0 /etc/ssh/ssh_host_ed25519_key.pub'),
          ]),
    ],
    meaning:
      'Field 8 must be the base64 of one line of a public key file: the type, the key, and a comment. Nix writes it to a known_hosts file after the host name. A line of ssh-keyscan, a fingerprint, an authority or the key without its type is ignored by ssh, so the host key is unknown.',
    diagnosis: 'base64 -d of field 8 must print ssh-ed25519 AAAA... or another type.',
  },
  auth_denied: {
    side: 'client',
    state: 'down',
    message: p => `${p.host} rejects the key for user ${p.user}${p.detail}`,
    fixes: p => [
      text(
        `Add the public key to authorized_keys of ${p.user} on ${p.host} (NixOS: users.users.${p.user}.openssh.authorizedKeys.keys). The first command prints the key, the second one the file that sshd reads`,
      ),
      hereAsRoot(`ssh-keygen -y -f ${keyArgument(p)}`),
      onBuilderAsRoot('sshd -T | grep -i authorizedkeys'),
      text(
        'If the key is there, the account may be locked or expired, or other users can write the file',
      ),
      onBuilderAsRoot(`chage -l ${shellQuote(p.user)}`),
      readSshdLog,
    ],
    meaning:
      'The builder answers and its host key is verified, but it accepts no key for this user: the public key is not in authorized_keys, the user does not exist, or sshd forbids the login.',
    diagnosis: "The builder's sshd log has the reason: journalctl -u ssh -u sshd.",
    moreAboutFix: `builder-monitor waits 1, 5 and then 15 minutes between attempts, because OpenSSH 9.8 and newer block an address after failed logins, and so its builds too. ${copiedKeys}`,
  },
  host_key_unknown: {
    side: 'client',
    state: 'down',
    message: p => `the host key of ${p.host} is unknown on this machine${p.detail}`,
    fixes: p => [
      text('Read the fingerprint on the builder'),
      onBuilder('ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub'),
      text(
        `Accept the key as ${p.sshUser} if the fingerprint is the same, or pin the key in field 8 of the machine line`,
      ),
      hereAsRoot(`${p.ssh} ${p.dest} true`),
      ...renewKnownHosts(p),
    ],
    meaning:
      "This machine does not have the host key of the builder, and a build cannot answer ssh's question. A key pinned in field 8 is valid only for the name in the machine line: with an ssh alias set HostKeyAlias.",
    diagnosis:
      'sudo ssh-keygen -F HOST searches known_hosts; the message shows the fingerprint that the builder presents.',
  },
  client_untrusted: {
    side: 'client',
    state: 'down',
    message: p =>
      p.detail
        ? `the local nix-daemon does not accept the canary build${p.detail}`
        : 'the local nix-daemon ignores the builders setting of this user, which is not in trusted-users',
    fixes: () => [
      text(
        'Use the private canary (the default), or add this user to trusted-users in /etc/nix/nix.conf of this machine',
      ),
    ],
    meaning:
      'A canary through the local nix-daemon selects its builder with --builders, which the daemon accepts from trusted users only. For other users it would choose a builder by itself, and the build would verify nothing.',
    diagnosis: 'nix store ping prints whether the daemon trusts you (Trusted: 1).',
  },
  control_master: {
    side: 'client',
    state: 'down',
    message: p => `a stale ssh control master blocks the login${p.detail}`,
    fixes: p => [
      text(
        `Close it, and set ControlMaster no for ${p.host} in ${p.sshUser}'s ~/.ssh/config`,
      ),
      hereAsRoot(`${p.ssh} -O exit ${p.dest}`),
    ],
    meaning:
      'ssh_config shares connections (ControlMaster), and the master is stale or belongs to another login. Nix then reads a line that was meant for another program.',
    diagnosis: 'sudo ssh -O check HOST.',
  },
  client_daemon_down: {
    side: 'client',
    state: 'down',
    message: p => `nix-daemon on this machine does not respond${p.detail}`,
    fixes: () => restartDaemon('here'),
    meaning:
      'nix-daemon on this machine does not respond on its socket, so only root can start a build here, remote or local.',
    diagnosis:
      'systemctl status nix-daemon.socket nix-daemon.service; journalctl -u nix-daemon -n 50.',
  },
  client_disk_full: {
    side: 'client',
    state: 'down',
    message: p =>
      `this machine has no space for build results: ${p.available} free on ${p.path}`,
    fixes: p => [
      hereAsRoot('nix-collect-garbage -d'),
      here(`df -h ${shellQuote(p.path)}`),
    ],
    meaning:
      'The results of remote builds are copied into the store of this machine. Without space for them a build fails after all its work.',
    diagnosis: 'df -h /nix/store /nix/var/nix /tmp.',
  },
  client_offline: {
    side: 'client',
    state: 'down',
    message: () => 'this machine has no network address except loopback',
    fixes: () => [text('Bring the network up'), here('ip address'), here('ip route')],
    meaning:
      'No network interface of this machine has an address, except loopback. All builders seem to fail at once, and none of them is the cause.',
    diagnosis: 'ip address; ip route.',
  },
  client_daemon_denied: {
    side: 'client',
    state: 'degraded',
    message: p =>
      `nix-daemon on this machine denies access to builder-monitor${p.detail}`,
    fixes: () => [
      text(
        'Builds of other users are not affected. To check the daemon, add this user to allowed-users in /etc/nix/nix.conf (Debian: sudo usermod -aG nix-users builder-monitor)',
      ),
    ],
    meaning:
      'nix-daemon on this machine runs, but rejects the user of builder-monitor: it is not in allowed-users, or not in the group of the socket.',
    diagnosis: 'nix config show allowed-users; ls -l /nix/var/nix/daemon-socket/socket.',
  },
  client_memory: {
    side: 'client',
    state: 'degraded',
    message: p => `this machine is low on memory: ${p.available} of ${p.total} available`,
    fixes: () => [
      text('Find the processes that use it'),
      here('ps -eo rss,pid,args --sort=-rss | head'),
    ],
    meaning:
      'This machine has little memory left. The kernel may kill ssh, nix-daemon or a build hook in the middle of a remote build.',
    diagnosis: 'free -m; journalctl -k | grep -i oom.',
  },
  key_not_accessible: {
    side: 'client',
    state: 'info',
    message: p =>
      `builder-monitor may not read the private key ${p.key}, so it cannot log in as builds do`,
    fixes: p => [
      text(
        'Pass the key to the service (LoadCredential=; the installer and the NixOS module do), or run the check with sudo',
      ),
      hereAsRoot('builder-monitor check'),
      hereAsRoot(`ls -l ${keyArgument(p)}`),
    ],
    meaning:
      'The key in field 3 of the machine line belongs to another user, usually root, whose nix-daemon uses it. builder-monitor runs as a user who may not read it, so nothing was asked of the builder, and its state is unknown.',
    diagnosis: 'sudo ls -l KEY; systemctl show builder-monitor -p LoadCredential.',
  },
  client_temp_unusable: {
    side: 'client',
    state: 'degraded',
    message: p => `this machine cannot write to its temporary directory${p.detail}`,
    fixes: p => [
      text(
        'Create the directory, or correct TMPDIR in the environment of builder-monitor and nix-daemon',
      ),
      here(`ls -ld ${shellQuote(p.path)}`),
      hereAsRoot(`install -d -m 1777 ${shellQuote(p.path)}`),
    ],
    meaning:
      'The directory in TMPDIR (/tmp by default) does not exist, is read-only or belongs to another user. Nix creates a directory there for each remote build, and canaries need it too, so none is built: builders are verified by a direct build.',
    diagnosis: 'echo $TMPDIR; systemctl show nix-daemon builder-monitor -p Environment.',
  },
  client_resources: {
    side: 'client',
    state: 'degraded',
    message: p =>
      `this machine has no process, file descriptor or memory left for a canary build${p.detail}`,
    fixes: () => [
      text(
        'Find what uses them, or raise the limit of the service (TasksMax, LimitNOFILE)',
      ),
      here('ps -eo user= | sort | uniq -c | sort -n | tail -3'),
      hereAsRoot('systemctl show builder-monitor nix-daemon -p TasksMax -p LimitNOFILE'),
    ],
    meaning:
      'The kernel refused a new process, descriptor or memory to builder-monitor. Nothing was asked of the builder; real builds may fail for the same reason.',
    diagnosis: 'ulimit -a; cat /proc/sys/fs/file-nr; journalctl -u builder-monitor.',
  },
  client_nix_broken: {
    side: 'client',
    state: 'degraded',
    message: p => `the local Nix ends before it contacts a builder${p.detail}`,
    fixes: () => [
      text('See what the local Nix prints, and repair its installation'),
      here('nix-build --version'),
      here('nix-store --store /tmp/builder-monitor-test --init && nix-store --version'),
    ],
    meaning:
      'nix-build or nix-store of this machine failed while it prepared a canary, before any builder was contacted. The canary is skipped, and builders are verified by a direct build. Real builds may fail in the same way.',
    diagnosis:
      'builder-monitor check --canary --debug prints the commands and their output.',
  },
  machines_unused: {
    side: 'client',
    state: 'degraded',
    message: p =>
      `${p.file} lists builders, but the builders setting is empty, so Nix uses none of them`,
    fixes: p => [
      text(
        `Remove the line builders = from nix.conf (${p.where}; NixOS: nix.distributedBuilds = true), then restart nix-daemon`,
      ),
      ...restartDaemon('here'),
    ],
    meaning:
      'A machines file exists and lists builders, but the builders setting is empty, so Nix never uses them. NixOS writes it this way with nix.distributedBuilds = false.',
    diagnosis: 'nix config show builders; grep -rn builders /etc/nix/nix.conf.',
  },
  daemon_restart_needed: {
    side: 'client',
    state: 'degraded',
    message: p =>
      `${p.file} is newer than the running nix-daemon, which reads it only at start`,
    fixes: () => restartDaemon('here'),
    meaning:
      'nix-daemon reads nix.conf once, at start; its workers are forks. Later changes have no effect on builds through the daemon. The machines file is read for each build and needs no restart.',
    diagnosis:
      'ls -l --time-sort /etc/nix; systemctl show nix-daemon -p ActiveEnterTimestamp.',
  },
  root_ssh_config_unreadable: {
    side: 'client',
    state: 'info',
    message: p =>
      `cannot compare the ssh settings of ${p.sshUser}, which builds use: ${p.files} not readable${p.detail}`,
    fixes: p => [
      text(
        `Compare ssh -G BUILDER as ${p.sshUser} with your own, or give builder-monitor read access to ${p.sshUser}'s .ssh`,
      ),
    ],
    meaning:
      "Builds through nix-daemon log in as its user, usually root, with that user's keys, known_hosts and ssh_config. builder-monitor runs as another user and cannot read them, so a login that works for it may fail for builds, and the other way round. A canary through the daemon verifies the real path.",
    diagnosis:
      'builder-monitor check --canary --canary-mode daemon, or the check with sudo.',
  },
  daemon_user_unknown: {
    side: 'client',
    state: 'info',
    message: p =>
      `the user of nix-daemon is unknown, so its ssh settings are not compared${p.detail}`,
    fixes: () => [
      here('ps -o user,pid,args -C nix-daemon'),
      here('systemctl show nix-daemon.service nix-daemon@0.service -p Id,LoadState,User'),
      here('ls -l /nix/var/nix/daemon-socket/socket'),
    ],
    meaning:
      'The keys, known_hosts and ssh_config of a build are those of the user of nix-daemon: usually root, another one with nix.daemonUser or User= in its unit. builder-monitor looks at the owner of the process, asks systemd for the unit, and looks at the owner of the socket; none of them had it. A hardened service (PrivateUsers=) does not see the names of other users.',
    diagnosis:
      'The commands of the fix. builder-monitor check --canary --canary-mode daemon verifies the real path.',
  },
  ssh_settings_differ: {
    side: 'client',
    state: 'degraded',
    message: p =>
      `the ssh settings of ${p.whose ?? 'root'} differ from those of builder-monitor${p.detail}`,
    fixes: differenceFixes,
    meaning:
      'Builds of nix-daemon log in as its user (root, or the one that the check identity names) and in its environment; the login of builder-monitor differs: another user, host, port, jump host, agent or key, or a known_hosts without the verified host key. Either the reported health or real builds take another path. The comparison uses the output of ssh -G (first 50 builders). It leaves out Match localuser, and NIX_SSHOPTS of nix-daemon where its environment is not readable.',
    diagnosis:
      'sudo ssh -G HOST and ssh -G HOST side by side; sudo systemctl show nix-daemon -p Environment. An agent of your shell (SSH_AUTH_SOCK) is not there for nix-daemon.',
  },
  daemon_build_fails: {
    side: 'client',
    state: 'degraded',
    message: p =>
      `the canary build works for builder-monitor, but not for nix-daemon${p.detail}`,
    fixes: () => [
      text('Compare the environment of nix-daemon with yours, and its ssh with yours'),
      hereAsRoot('systemctl show nix-daemon -p Environment -p User'),
      hereAsRoot('journalctl -u nix-daemon -n 50'),
    ],
    meaning:
      'The same build succeeds in a store of builder-monitor and fails through nix-daemon. The builder is not the cause: the daemon has another environment (PATH, NIX_SSHOPTS, SSH_AUTH_SOCK), another user with other keys, or has read another nix.conf.',
    diagnosis:
      'builder-monitor check shows whose ssh builds use (check identity) and what differs. The daemon prints the error of ssh to the client that builds.',
  },
  key_copy_outdated: {
    side: 'client',
    state: 'degraded',
    message: p =>
      `${p.service ?? 'builder-monitor'} uses an outdated copy of a private key${p.detail}`,
    fixes: p => [
      text('Restart the service, which then reads the new key'),
      hereAsRoot(`systemctl restart ${shellQuote(p.service ?? 'builder-monitor')}`),
    ],
    meaning:
      'systemd copies private keys for the service when it starts (LoadCredential=). The key has changed since, so builds use the new one and builder-monitor the old one.',
    diagnosis:
      'systemctl show builder-monitor -p ActiveEnterTimestamp, and ls -l --time=ctime with the key.',
  },
  slots_full: {
    side: 'client',
    state: 'info',
    message: p =>
      p.users === undefined
        ? `all slots of ${p.host} are in use`
        : `all ${p.users} build users of ${p.host} are in use`,
    fixes: p => [
      text(
        p.users === undefined
          ? 'No action needed: builds wait for a free slot. Raise maxJobs in the machine line if the builder can run more'
          : `No action needed: builds wait for a free build user. If ${p.host} can run more, add users to its group nixbld (NixOS: nix.nrBuildUsers)`,
      ),
    ],
    meaning:
      'Builds of this machine use all slots (maxJobs) that it has there. Other builds wait; nothing is broken.',
    diagnosis: 'sudo lslocks | grep current-load.',
  },
  slot_stuck: {
    side: 'client',
    state: 'degraded',
    message: p =>
      `process ${p.pid ?? '-'} holds slot ${p.slots} of ${p.host} for ${p.hours} hours without a build${p.detail}`,
    fixes: p => [
      text('Find out what it waits for, and end the process if it runs no build'),
      here(`ps -o pid,lstart,args -p ${p.pid ?? '-'}`),
      hereAsRoot(`kill ${p.pid ?? '-'}`),
    ],
    meaning:
      'A process of this machine has held a slot of the builder for longer than any build should take. With all slots stuck the builder gets no more work from here, without an error message.',
    diagnosis:
      'sudo lslocks | grep current-load, then ps -f with the process: a hung ssh below it is the usual cause.',
    alert: 'NixBuilderSlotStuck',
  },
  upload_lock: {
    side: 'client',
    state: 'info',
    message: p => `another build of this machine uploads to ${p.host}`,
    fixes: () => [
      text('No action needed unless it lasts'),
      hereAsRoot('lslocks | grep upload-lock'),
    ],
    meaning:
      'Nix uploads the inputs of one build at a time to a builder. Other builds wait for the lock, forever if its holder hangs.',
    diagnosis: 'sudo lslocks | grep upload-lock shows the process that holds it.',
  },
  needs_openssh: {
    side: 'client',
    state: 'info',
    message: p =>
      `only OpenSSH can log in to ${p.host}, so every probe uses it${p.detail}`,
    fixes: () => [text('No action needed: each probe needs a new ssh login')],
    meaning:
      'The SSH library of builder-monitor cannot log in, and OpenSSH can: certificates, security keys, post-quantum key exchange.',
    diagnosis: 'ssh -v HOST shows what was negotiated.',
  },
} as const satisfies Partial<Record<Kind, KindInfo>>
