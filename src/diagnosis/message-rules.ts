import type { Kind, Params } from '../model/index.ts'
import { cutMiddle, oneLine } from '../text/truncate.ts'

/** A pattern of one line, its kind, and the parameters in it. */
export type MessageRule = readonly [
  pattern: RegExp,
  kind: Kind,
  params?: (m: RegExpExecArray) => Params,
]

/** A message is shorter; time grows with the length. */
const maxLineChars = 2000

/** Cuts a line to the length that the patterns are applied to; the beginning and the end stay. */
export const capLine = (line: string): string => cutMiddle(line, maxLineChars)

/** Applies a rule to a line. Bounded: below a millisecond for any line. */
export const matchRule = ([pattern]: MessageRule, line: string): RegExpExecArray | null =>
  pattern.exec(capLine(line))

const detail = (m: RegExpExecArray): Params => ({ detail: oneLine(m[0]) })

const sshOption = (option: string, effect: string) => (): Params => ({
  option,
  detail: effect,
})

/**
 * Messages that name a definite cause. Sources: OpenSSH sshconnect.c, sshconnect2.c, kex.c, authfile.c; Nix
 * build-remote.cc, remote-store.cc, legacy-ssh-store.cc, daemon.cc, local-store.cc, derivation-goal.cc in all versions.
 */
export const definite: readonly MessageRule[] = [
  // --- this machine
  [
    /bad machine specification: .*|while parsing machine specification at .*|speed factor must be >= 0|Cannot parse Nix store '[^']*'|don't know how to open Nix store '[^']*'|invalid SSH (?:authority|host name).*|invalid URL authority.*/,
    'config_invalid',
    m => ({ ...detail(m), where: 'builders' }),
  ],
  [
    /Unable to parse Machines of version.*|uri must be present and non-empty/,
    'config_invalid',
    m => ({ ...detail(m), where: 'builders' }),
  ],
  [
    /unable to execute 'ssh'|executing 'ssh': No such file|ssh: command not found/,
    'ssh_missing',
  ],
  [/ignoring the client-specified setting 'builders'/, 'client_untrusted'],
  // ssh rejects its configuration (readconf.c)
  [
    /^(?:.*: )?(\/\S+):? line (\d+): ((?:Bad|Unsupported|Missing|missing|keyword|no argument|Unmatched|Illegal|Include) .*)/,
    'ssh_config_invalid',
    m => ({
      where: `${m[1] ?? ''}:${m[2] ?? ''}`,
      file: m[1] ?? '',
      line: m[2] ?? '',
      detail: oneLine(m[3] ?? ''),
    }),
  ],
  [
    /command-line:? line 0: (.*)|unterminated (?:single|double) quote|Can't open user config file .*/,
    'ssh_config_invalid',
    m => ({ where: 'NIX_SSHOPTS', detail: oneLine(m[1] ?? m[0]) }),
  ],
  [
    /Bad owner or permissions on (\S+)/,
    'ssh_config_invalid',
    m => ({ where: m[1] ?? '', file: m[1] ?? '', reason: 'owner', ...detail(m) }),
  ],
  // An option of ssh that does not fit the way in which Nix uses it
  [
    /Cannot execute command-line and remote command/,
    'ssh_option',
    sshOption('RemoteCommand', 'ssh then refuses to run the command of Nix'),
  ],
  [
    /bind \S+: Cannot assign requested address/,
    'ssh_option',
    sshOption('BindAddress', 'this machine does not have that address'),
  ],
  [
    /getifaddrs: \S+ no suitable addresses/,
    'ssh_option',
    sshOption('BindInterface', 'this machine does not have that interface'),
  ],
  [
    /proxy dialer did not pass back a connection|mm_receive_fd: .*/,
    'ssh_option',
    sshOption(
      'ProxyUseFdpass',
      'the ProxyCommand does not pass a connected socket to ssh',
    ),
  ],
  [
    /Could not request (?:local|tunnel) forwarding|remote port forwarding failed for listen \S+|Tunnel forwarding failed/,
    'ssh_option',
    m => ({
      option: 'ExitOnForwardFailure',
      value: 'yes',
      use: 'no',
      detail: oneLine(m[0]),
    }),
  ],
  [
    /unix_listener: .{0,200}cannot bind to path \S{1,300}\.\w{16}: .*|ControlPath too long.*|ControlPath .{0,300} too long.*/,
    'ssh_option',
    m => ({ option: 'ControlPath', use: 'none', detail: oneLine(m[0]) }),
  ],
  [
    /KnownHostsCommand(?:-\w{1,20} .{0,300})? failed.*/,
    'ssh_option',
    m => ({ option: 'KnownHostsCommand', use: 'none', detail: oneLine(m[0]) }),
  ],
  [
    /jumphost loop via (\S+)/,
    'ssh_option',
    m => ({
      option: 'ProxyJump',
      detail: `it applies to the jump host ${oneLine(m[1] ?? '')} itself`,
    }),
  ],
  [
    /Error checking host key .{0,300} in revoked keys file .*/,
    'ssh_option',
    m => ({ option: 'RevokedHostKeys', use: 'none', detail: oneLine(m[0], 240) }),
  ],
  [
    /Control socket connect\(|muxclient: master hello exchange failed|failed to start SSH master connection|protocol mismatch, got 'started/,
    'control_master',
    detail,
  ],
  [/bad hook reply '(.*)/, 'bad_hook_reply', detail],
  // --- the path to the builder
  [
    /Could not resolve hostname ([^:\s]+): ?(.*)/,
    'dns',
    m => ({ detail: oneLine(m[2] ?? '') }),
  ],
  [/connect to host (\S+) port (\d+): Connection refused/, 'tcp_refused'],
  [/connect to host (\S+) port (\d+): (?:Connection|Operation) timed out/, 'tcp_timeout'],
  [
    /connect to host (\S+) port (\d+): (No route to host|Network is unreachable|Host is down|Invalid argument|Permission denied)/,
    'tcp_unreachable',
    m => ({ address: m[1] ?? '', detail: m[3] ?? '' }),
  ],
  // The same from a jump host (ssh -W)
  [/open failed: connect failed: Connection refused/, 'tcp_refused', detail],
  [
    /open failed: connect failed: (?:Connection|Operation) timed out/,
    'tcp_timeout',
    detail,
  ],
  [
    /open failed: connect failed: (?:No route to host|Network is unreachable|Host is down)/,
    'tcp_unreachable',
    detail,
  ],
  [/open failed: administratively prohibited.*/, 'forwarding_forbidden', detail],
  [
    /open failed: connect failed: (?:Name or service not known|Temporary failure in name resolution|No address associated with hostname)/,
    'dns',
    detail,
  ],
  [/channel \d+: open failed: connect failed: open failed/, 'sessions_forbidden'],
  // --- sshd
  [
    /Exceeded MaxStartups|Not allowed at this time|Session open refused by peer/,
    'sshd_throttled',
    detail,
  ],
  [/timed out during banner exchange/, 'banner_timeout'],
  [
    /banner exchange: .{0,400}invalid format|Bad remote protocol version identification.*|Protocol major versions differ.*/,
    'not_ssh',
    detail,
  ],
  [
    /Unable to negotiate with .{0,400}: (no matching .*)/,
    'kex_mismatch',
    m => ({ detail: oneLine(m[1] ?? '') }),
  ],
  [
    /REVOKED HOST KEY DETECTED|is marked as revoked|Host key .{0,300} revoked by file .*/,
    'host_key_revoked',
    detail,
  ],
  [/REMOTE HOST IDENTIFICATION HAS CHANGED/, 'host_key_changed'],
  [
    /Certificate invalid: (.{0,400}expired.*|.{0,400}not yet valid.*)/,
    'certificate_expired',
    m => ({ detail: oneLine(m[1] ?? '') }),
  ],
  [
    /Certificate invalid: (name is not a listed principal|.*principal.*)/,
    'certificate_principal',
    m => ({ detail: oneLine(m[1] ?? '') }),
  ],
  [
    /requires an additional check|additional check is required/i,
    'auth_check_required',
    detail,
  ],
  [/tailnet policy does not permit.*/i, 'auth_denied', detail],
  [/No \S+ host key is known for|Host key verification failed/, 'host_key_unknown'],
  [
    /Authenticated using "[\w-]{1,60}" with partial success/,
    'auth_method_refused',
    () => ({ detail: 'it accepts the key and then demands another method' }),
  ],
  [
    /@[^\s@]{1,400}: Permission denied \((?![^)]{0,400}publickey)([^)]{1,400})\)/,
    'auth_method_refused',
    m => ({ detail: `it offers ${m[1] ?? ''}` }),
  ],
  [
    /@[^\s@]{1,400}: Permission denied \(([^)]{0,400})\)/,
    'auth_denied',
    m => ({ detail: `it offers ${m[1] ?? ''}` }),
  ],
  [/Too many authentication failures/, 'auth_denied', detail],
  [
    /Connection (?:closed|reset) by \S+ port \d+|kex_exchange_identification: .*|ssh_exchange_identification: .*/,
    'sshd_closed',
    detail,
  ],
  [
    /Timeout, server \S{1,400} not responding|client_loop: send disconnect: .*|Connection to \S{1,400} closed by remote host|packet_write_wait: .*|ssh_packet_\w{1,60}: Connection .*/,
    'connection_lost',
    detail,
  ],
  // --- the account
  [
    /This account is currently not available|Attempted login by \S+ on/,
    'nologin',
    detail,
  ],
  [
    /nologin: .*|System is (?:going down|booting up)\b.*|[Pp]assword change required.*|Your (?:password|account) has expired.*|This service allows sftp connections only.*/,
    'session_ended',
    detail,
  ],
  [/Unable to exec|exec request failed on channel/, 'process_limit', detail],
  [
    /fork: (?:retry: )?(?:Resource temporarily unavailable|Cannot allocate memory)|[Cc]annot fork|unable to fork: .*|fork failed.*|can't fork|No more processes|^(?:error: )?Resource temporarily unavailable/,
    'process_limit',
    detail,
  ],
  [
    /protocol mismatch(?: from '[^']*')?, got '(.*)/,
    'shell_noise',
    m => ({ detail: oneLine(m[1] ?? '') }),
  ],
  [
    /(?:^|[\s:])(?:protocol mismatch|nix-daemon protocol mismatch from.*)/,
    'protocol_mismatch',
    detail,
  ],
  [
    /(nix-daemon|nix-store|nix)['"]?: (?:[Cc]ommand )?not found|command not found: (nix-daemon|nix-store|nix)\b|(nix-daemon|nix-store|nix): No such file or directory|Unknown command: ['"]?(nix-daemon|nix-store)/,
    'nix_missing',
    m => ({ program: m.slice(1).find(Boolean) ?? 'nix-daemon' }),
  ],
  [
    /(nix-daemon|nix-store): (?:Permission denied|cannot execute.*|Exec format error)/,
    'nix_not_executable',
    m => ({ program: m[1] ?? 'nix-daemon', ...detail(m) }),
  ],
  [
    /(nix-daemon|nix-store|nix): (error while loading shared libraries: .*|symbol lookup error: .*|relocation error: .*)/,
    'nix_not_executable',
    m => ({ program: m[1] ?? 'nix-daemon', detail: oneLine(m[2] ?? '') }),
  ],
  // --- the remote Nix
  [
    /the Nix (?:daemon|client) version is too old|remote Nix daemon version is too old|Nix daemon protocol version not supported|unsupported 'nix-store --serve' protocol version|unknown serve command.*|current Nix store schema is version.*|remote '[^']*' is too old/,
    'nix_version',
    detail,
  ],
  [
    /(?:illegal configuration line|syntax error in configuration line) .*|setting '[^']*' has invalid value .*|file '[^']*' included from '[^']*' not found/,
    'remote_config_invalid',
    detail,
  ],
  [
    /daemon-socket\/socket['"]?: Permission denied|is not allowed to connect to the Nix daemon/,
    'daemon_denied',
    detail,
  ],
  [
    /No space left on device|database or disk is full|Disk quota exceeded|lack of free disk space/,
    'disk_full',
    detail,
  ],
  [
    /Read-only file system|attempt to write a readonly database|readonly database/,
    'store_read_only',
    detail,
  ],
  [
    /cannot connect to socket at '?[^']*daemon-socket\/socket'?: (Connection refused|No such file or directory)|store\/\.links['"]?: Permission denied|creating directory '?"?\/nix\/store\/\.links|could not set permissions on ['"]\/nix\/var|opening lock file ['"]\/nix\/var[^:]*: Permission denied|may have been run as non-root in a single-user Nix/,
    'daemon_down',
    detail,
  ],
  [
    /not privileged to build|lacks a (?:valid )?signature|(?:importing|building) paths is not allowed|repairing is not allowed/,
    'not_trusted',
    detail,
  ],
  [
    /Cannot allocate memory|signal 9 \(Killed\)|killed by signal 9|std::bad_alloc|Out of memory/,
    'oom',
    detail,
  ],
  [/Exec format error/, 'exec_format', detail],
  [
    /a '([^']{1,400})' with features \{([^}]{0,2000})\} is required to build '[^']*', but I am a '([^']+)' with features \{([^}]*)\}/,
    'feature_missing',
    m => featureMismatch(m[1], m[2], m[3], m[4]),
  ],
  [/timed out after \d+ seconds|of silence/, 'build_timeout', detail],
  [
    /remote machine failed to import closure|failed to add path '[^']*' to remote host|cannot add path '[^']*'.*/,
    'copy_failed',
    detail,
  ],
]

/** Generic messages, used if there is no definite one: Nix 2.8 adds `unexpected end-of-file` to nearly every error. */
export const generic: readonly MessageRule[] = [
  [
    /Nix crashed\. This is a bug.*|Nix daemon disconnected unexpectedly.*|splicing data from daemon socket.*/,
    'daemon_crash',
    detail,
  ],
  // Printed for nothing else (derivation-goal.cc runPostBuildHook)
  [
    /program ['"](\/[^'"]{1,400})['"] (?:failed with exit code \d{1,3}|was killed by signal.*|failed due to signal.*)/,
    'builder_hook_failed',
    m => ({ program: oneLine(m[1] ?? '', 200), ...detail(m) }),
  ],
  [
    /client requested repeating builds/,
    'setting_broken',
    () => ({
      setting: 'repeat',
      value: 'a number',
      where: 'nix.conf',
      detail: 'builders with ssh:// refuse to repeat builds',
    }),
  ],
  [
    /killed after writing more than (\d{1,20}) bytes of log output/,
    'setting_broken',
    match => ({
      setting: 'max-build-log-size',
      value: match[1] ?? '-',
      where: 'nix.conf',
      detail: 'the builder killed the build',
    }),
  ],
  [
    /build hook died unexpectedly.*|while reading the response from the build hook.*|unexpected EOF reading a line/,
    'hook_broken',
    detail,
  ],
  [
    /builder for '[^']*' failed.*|Reason: builder failed with.*|build of '[^']*' on '[^']*' failed:.*|failed to produce output path.*|executing '[^']*': .*/,
    'build_failed',
    detail,
  ],
  [
    /unexpected end-of-file.*|Connection reset by peer|Broken pipe|unexpected EOF from daemon socket/,
    'daemon_crash',
    detail,
  ],
  [/Received disconnect from \S+ port \d+:\d+: .*/, 'connection_lost', detail],
  [
    /failed to start SSH connection to '.*|cannot connect to '[^']*'.*|cannot open connection to remote store.*/,
    'connection_lost',
    detail,
  ],
]

/** Messages that follow from another error, used only if there is no other. */
export const consequential: readonly MessageRule[] = [
  [
    /Failed to find a machine for remote build|platform mismatch|missing system features|remote machines may not have all required system features|local builds are disabled|[uU]nable to start any build/,
    'unclassified',
    detail,
  ],
]

/** Warnings about keys. They matter only if the login was denied in the end, because ssh goes on with other keys. */
export const keyWarnings: readonly MessageRule[] = [
  [
    /signing failed for \S+ "([^"]+)"(?: from agent)?: (.*)/,
    'key_signing_failed',
    m => ({ key: m[1] ?? '', detail: oneLine(m[2] ?? '') }),
  ],
  [/UNPROTECTED PRIVATE KEY FILE/, 'key_permissions'],
  [/Load key "([^"]+)": bad permissions/, 'key_permissions', m => ({ key: m[1] ?? '' })],
  [
    /Identity file (\S+) not accessible: No such file/,
    'key_missing',
    m => ({ key: m[1] ?? '' }),
  ],
  [
    /Load key "([^"]{1,400})": .{0,400}(?:passphrase|agent refused)/,
    'key_encrypted',
    m => ({ key: m[1] ?? '' }),
  ],
  [
    /Load key "([^"]+)": (.*)/,
    'key_unreadable',
    m => ({ key: m[1] ?? '', detail: oneLine(m[2] ?? '') }),
  ],
  [
    /Identity file (\S+) not accessible: (.*)/,
    'key_unreadable',
    m => ({ key: m[1] ?? '', detail: oneLine(m[2] ?? '') }),
  ],
]

/** Nix before 2.34: `a 'SYSTEM' with features {...} is required ..., but I am a 'SYSTEM' with features {...}`. */
export const featureMismatch = (
  wantedSystem = '',
  wanted = '',
  haveSystem = '',
  have = '',
): Params => {
  const list = (text: string) => text.split(/[,\s]+/).filter(Boolean)
  const missing = list(wanted).filter(feature => !list(have).includes(feature))
  return {
    missing: missing.join(', '),
    offered: list(have).join(', '),
    ...(missing.length === 0 && wantedSystem !== haveSystem
      ? { missingSystem: wantedSystem, offeredSystem: haveSystem }
      : {}),
  }
}
