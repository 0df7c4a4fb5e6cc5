import type { Kind } from '../../model/index.ts'
import { shellQuote } from '../../nix/protocol/store-command.ts'
import { here, hereAsRoot, restartDaemon, text, type KindInfo } from './kind-info.ts'

const showSetting = (name: string) =>
  here(
    `nix config show ${shellQuote(name)} || nix show-config | grep ${shellQuote(`^${name} `)}`,
  )

/** Kinds of the settings that builds of this machine use: nix.conf, the environment, the list as a whole. */
export const settingKinds = {
  setting_broken: {
    side: 'client',
    state: 'down',
    message: p => `the setting ${p.setting} makes every remote build fail${p.detail}`,
    fixes: p => [
      text(`Correct or remove ${p.setting} = ${p.value} (${p.where})`),
      showSetting(p.setting),
      ...restartDaemon('here'),
    ],
    meaning:
      'A setting of this machine names a program or file that does not exist or cannot be executed, or has a value that no build survives: plugin-files, build-hook, post-build-hook, max-build-log-size below 1 KiB, store = daemon, repeat with ssh:// (Nix 2.8), a substituter that is no store. The builders are not involved.',
    diagnosis:
      'nix config show (before 2.20: nix show-config) prints the effective value; the message names the file and the line that sets it.',
    moreAboutFix:
      'builder-monitor never runs a post-build-hook. It checks what can be known without that: the hook exists, is executable, is not on a noexec mount, its interpreter or loader exists, its syntax is valid (sh -n), it does not always end with exit 1, and no program is missing in a line that every run executes. A hook that fails for another reason is not seen.',
  },
  store_elsewhere: {
    side: 'client',
    state: 'down',
    message: p =>
      `NIX_STORE_DIR is ${p.path}, and no builder has its store there, so every remote build fails`,
    fixes: () => [
      text(
        'Remove NIX_STORE_DIR from the environment of builder-monitor, nix-daemon and the users who build',
      ),
      hereAsRoot('systemctl show builder-monitor nix-daemon -p Environment'),
    ],
    meaning:
      'Each store path contains the directory of its store. A builder with another directory has none of the paths, and refuses all of them ("is not in the Nix store").',
    diagnosis: 'env | grep ^NIX_',
  },
  build_not_started: {
    side: 'client',
    state: 'down',
    message: p => `no build starts on this machine${p.detail}`,
    fixes: () => [
      text('Start one by hand: it must end with "Failed to find a machine"'),
      here(
        `nix-build --max-jobs 0 -E 'derivation { name = "t"; system = "t"; builder = "t"; }'`,
      ),
      text('Correct what it names, then restart nix-daemon'),
      ...restartDaemon('here'),
    ],
    meaning:
      "Nix on this machine fails before it chooses a builder: it cannot open its store, loads a plugin that does not work, or its build hook ends without a reply. builder-monitor starts a build for a system that no machine has, with the user's settings, and as root again through nix-daemon; the hook must refuse it. Nothing is built and no builder is contacted.",
    diagnosis: 'Run the command of the fix, also with NIX_REMOTE=daemon.',
  },
  no_plain_builder: {
    side: 'client',
    state: 'down',
    message: p => `no builder takes ordinary builds for ${p.system}${p.detail}`,
    fixes: p => [
      text(
        `Change a line of the list (${p.origin}): field 2 must contain ${p.system}, field 4 must be at least 1, field 7 must be -`,
      ),
      here('builder-monitor builders'),
    ],
    meaning:
      'Nix selects a builder by system and features. A line with mandatory features (field 7) takes only builds that require all of them, a line with maxJobs 0 (field 4) takes none, and a line for other systems takes none for this one. With max-jobs = 0 on this machine, ordinary builds fail or wait for ever.',
    diagnosis:
      'builder-monitor builders prints the lines; nix config show max-jobs system.',
  },
  same_store: {
    side: 'client',
    state: 'down',
    message: p =>
      `${p.host} is this machine's own store, so every build there waits for its own lock for ever`,
    fixes: p => [
      text(
        `Remove the line ${p.origin}; to build on this machine set max-jobs in nix.conf`,
      ),
      here('builder-monitor builders'),
    ],
    meaning:
      'The line names the store of this machine as a builder: localhost, auto, daemon, local, or an address of this machine. Nix locks the output, then asks the builder for the same output; the builder waits for the lock of the first. No timeout ends it (seen with Nix 2.8 and 2.34). A canary uses a store of its own and would succeed.',
    diagnosis:
      'nix-build -v of anything for that line ends at "waiting for lock on". ls -di /nix/var/nix here and there prints the same number.',
  },
  setting_limits: {
    side: 'client',
    state: 'degraded',
    message: p => `the setting ${p.setting} ends usual builds${p.detail}`,
    fixes: p => [
      text(
        `Raise or remove ${p.setting} = ${p.value} (${p.where}); 0 means no limit. Then restart nix-daemon`,
      ),
      showSetting(p.setting),
      ...restartDaemon('here'),
    ],
    meaning:
      'timeout, max-silent-time and max-build-log-size of this machine are sent to the builder with each build. A small value ends builds that are not broken.',
    diagnosis: 'nix config show timeout max-silent-time max-build-log-size.',
  },
  local_builds_broken: {
    side: 'client',
    state: 'degraded',
    message: p =>
      `the setting ${p.setting} makes builds on this machine itself fail${p.detail}`,
    fixes: p => [
      text(`Correct or remove ${p.setting} = ${p.value} (${p.where})`),
      showSetting(p.setting),
      ...restartDaemon('here'),
    ],
    meaning:
      'Remote builds are not affected, but what Nix builds or downloads on this machine fails: secret-key-files that do not exist (Nix signs after the build), a build-users-group that does not exist, trusted-public-keys that are no keys.',
    diagnosis: `nix-build --builders '' of anything.`,
  },
  substituter_unreachable: {
    side: 'client',
    state: 'degraded',
    message: p =>
      `the binary cache ${p.uri} does not answer, so each build waits about ${p.seconds} s for it${p.detail}`,
    fixes: p => [
      here(`curl -sSI -m 10 ${shellQuote(`${p.uri.replace(/\/$/, '')}/nix-cache-info`)}`),
      text(
        `Bring it back, or remove it from substituters (${p.where}); connect-timeout = 3 and download-attempts = 1 in nix.conf shorten the wait`,
      ),
      ...restartDaemon('here'),
    ],
    meaning:
      'Nix asks every substituter for the outputs before it builds, here, in the daemon or in the command itself. One that refuses costs some seconds; one that drops packets or accepts a connection and sends nothing costs connect-timeout or stalled-download-timeout (300 s), times download-attempts. builder-monitor asks each http(s) substituter for nix-cache-info with the check of this machine: one request, a second one only after 3 s without an answer.',
    diagnosis:
      'nix config show substituters connect-timeout download-attempts; the curl command of the fix.',
  },
  client_disk_low: {
    side: 'client',
    state: 'degraded',
    message: p =>
      `this machine has ${p.available} free on ${p.path}, and results of usual builds need ${p.minFree}`,
    fixes: p => [
      hereAsRoot('nix-collect-garbage -d'),
      here(`df -h ${shellQuote(p.path)}`),
    ],
    meaning:
      'Results of remote builds and their logs are copied to this machine. Small ones still fit, larger ones fail after the build. The limits are 512 MiB for the store and 64 MiB for the database and logs, or a fortieth of a smaller filesystem.',
    diagnosis: 'df -h /nix/store /nix/var/nix /nix/var/log/nix.',
  },
  store_uri_invalid: {
    side: 'client',
    state: 'down',
    message: p =>
      `the machine line at ${p.origin} names no host that ssh can connect to${p.detail}`,
    fixes: p => [
      text(
        p.value === '-'
          ? `Write field 1 of the line (${p.origin}) as ssh-ng://USER@HOST`
          : `Replace the line (${p.origin}) by: ${p.value}`,
      ),
      here('builder-monitor builders'),
    ],
    meaning:
      'Field 1 of the machine line is a store URI with ssh:// or ssh-ng:// and without a host, often because the scheme is written twice. Nix passes what follows the first scheme to ssh, which connects to another place or to none, and what ssh prints then says nothing about the builder.',
    diagnosis: 'builder-monitor builders prints the line as Nix reads it.',
  },
  no_slots: {
    side: 'client',
    state: 'degraded',
    message: p => `the line of ${p.host} has maxJobs 0, so no build ever goes there`,
    fixes: p => [
      text(
        `Write at least 1 in field 4 of the line (${p.origin}), or remove the line to stop builds there`,
      ),
      here('builder-monitor builders'),
    ],
    meaning:
      'Field 4 of the machine line is the number of builds that Nix sends there at once. With 0 no slot is ever free, and a build that only this builder could take waits for ever ("waiting for a machine to build").',
    diagnosis: 'builder-monitor builders prints the line.',
  },
} as const satisfies Partial<Record<Kind, KindInfo>>
