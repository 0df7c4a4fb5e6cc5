import type { Fix, KindState, Params, Side } from '../../model/index.ts'
import { shellQuote } from '../../nix/protocol/store-command.ts'

/** Everything about a kind: health, message, fixes and runbook text. */
export interface KindInfo {
  readonly side: Side
  readonly state: KindState
  /** State and cause in the present tense, without a capital letter or full stop. */
  readonly message: (p: KindParams) => string
  /** Steps in order: instructions without a full stop, and commands. Never empty. */
  readonly fixes: (p: KindParams) => readonly Fix[]
  /** Runbook: what is behind it. */
  readonly meaning: string
  /** Runbook: how to see it. */
  readonly diagnosis: string
  /** Runbook: more about the fix. */
  readonly moreAboutFix?: string
  /** The alert that fires for it, where it is not NixBuilderDown. */
  readonly alert?: string
}

/**
 * Parameters as messages and fixes use them; `-` stands for those that a probe did not supply. Remote text among them
 * is sanitized. Quote them in commands, except `dest` and `ssh`, which are quoted already.
 */
const defaults = {
  /** The host of the machine line, or its store URI. */
  host: '-',
  user: '-',
  /** `user@host` for a shell. */
  dest: '-',
  port: '-',
  /** Path of the private key. */
  key: '-',
  /** An ssh command line up to the destination. */
  ssh: '-',
  uri: '-',
  /** The user of nix-daemon's ssh. */
  sshUser: 'root',
  scheme: '-',
  system: '-',
  /** The Nix program that the protocol runs. */
  program: '-',
  address: '-',
  /** Unreachable addresses. */
  dead: '-',
  missing: '-',
  /** Names of variables. */
  variables: '-',
  offered: '-',
  available: '-',
  total: '-',
  minFree: '-',
  path: '-',
  /** `file:line`. */
  where: '-',
  /** The host name under which known_hosts has the key. */
  knownAs: '-',
  /** The failed probe on which a skipped one depends. */
  waitsFor: '-',
  file: '-',
  files: '-',
  slots: '-',
  hours: '-',
  /** The jump host between this machine and what failed. */
  behind: '-',
  /** An option of ssh, or a setting of Nix, and its value. */
  option: '-',
  setting: '-',
  value: '-',
  seconds: '-',
  /** `file:line` of a machine line. */
  origin: '-',
}

/** Parameters that select another message or fix; absent where they were not supplied. */
interface OptionalParams {
  readonly pid?: string
  /** Number of build users. */
  readonly users?: string
  /** The user or daemon that a kind of this machine is about. */
  readonly whose?: string
  /** The ssh setting that differs. */
  readonly field?: string
  /** The line of `file`. */
  readonly line?: string
  /** The value of an option that suits builds. */
  readonly use?: string
  /** Selects a fix: `owner` of `ssh_config_invalid`, `authority` of `pinned_key_invalid`. */
  readonly reason?: string
  /** The systemd service to restart. */
  readonly service?: string
}

export type KindParams = Readonly<typeof defaults> &
  OptionalParams & {
    /** In brackets after a space, or empty. */
    readonly detail: string
  }

/** Completes the parameters of a probe. */
export const toKindParams = (params: Params): KindParams => ({
  ...defaults,
  ...params,
  detail: params['detail'] ? ` (${params['detail']})` : '',
})

export const text = (instruction: string): Fix => ({ text: instruction })
export const here = (command: string): Fix => ({ command, where: 'here', root: false })
export const hereAsRoot = (command: string): Fix => ({
  command,
  where: 'here',
  root: true,
})
export const onBuilder = (command: string): Fix => ({
  command,
  where: 'builder',
  root: false,
})
export const onBuilderAsRoot = (command: string): Fix => ({
  command,
  where: 'builder',
  root: true,
})

export const noAction = text('No action needed')

/**
 * Restarts nix-daemon, on Linux and macOS. `systemctl restart` of both units fails with systemd 252 and 257 while the
 * service runs, and leaves the socket stopped; without `reset-failed` nothing starts after a crash loop.
 */
export const restartDaemon = (where: 'here' | 'builder'): readonly Fix[] => [
  {
    command:
      "sh -c 'for verb in reset-failed stop start; do systemctl $verb nix-daemon.socket nix-daemon.service; done'",
    where,
    root: true,
  },
  text('On macOS: sudo launchctl kickstart -k system/org.nixos.nix-daemon'),
]

/** Controls sshd, whose unit is `ssh` on Debian; there `sshd` is an alias that exists only while the unit is enabled. */
export const controlSshd = (verb: 'start' | 'restart' | 'reload'): Fix =>
  onBuilderAsRoot(`sh -c 'systemctl ${verb} sshd || systemctl ${verb} ssh'`)

/** Restarts the service that verified a host key with a copy of known_hosts, which it reads at start. */
export const renewKnownHosts = ({ service }: KindParams): readonly Fix[] =>
  service === undefined
    ? []
    : [
        text(
          `Then restart ${service}, which has a copy of known_hosts from the time it started`,
        ),
        hereAsRoot(`systemctl restart ${shellQuote(service)}`),
      ]

export const collectGarbage = onBuilderAsRoot('nix-collect-garbage -d')
/** The next step where nothing is garbage. */
export const findUsedSpace: readonly Fix[] = [
  text('If that frees too little, find what uses the space, or enlarge the file system'),
  onBuilderAsRoot('du -xhd1 /nix /'),
]
export const readSshdLog = onBuilderAsRoot('journalctl -u ssh -u sshd -n 50')
export const readDaemonLog = onBuilderAsRoot('journalctl -u nix-daemon -n 50')
