/**
 * The closed list of what can be wrong: names of metric labels, JSON, runbooks and alerts. What each means is in
 * diagnosis/kinds/.
 */
export const kindNames = [
  // client, down
  'config_invalid',
  'hook_broken',
  'bad_hook_reply',
  'ssh_missing',
  'ssh_config_invalid',
  'ssh_option',
  'dns',
  'key_missing',
  'key_unreadable',
  'key_encrypted',
  'key_permissions',
  'key_signing_failed',
  'auth_denied',
  'pinned_key_invalid',
  'host_key_unknown',
  'client_untrusted',
  'control_master',
  'client_daemon_down',
  'client_disk_full',
  'client_offline',
  'setting_broken',
  'store_elsewhere',
  'build_not_started',
  'no_plain_builder',
  'same_store',
  // client, degraded or info
  'client_daemon_denied',
  'client_memory',
  'key_not_accessible',
  'client_temp_unusable',
  'client_resources',
  'client_nix_broken',
  'client_disk_low',
  'machines_unused',
  'setting_limits',
  'local_builds_broken',
  'substituter_unreachable',
  'no_slots',
  'store_uri_invalid',
  'daemon_restart_needed',
  'root_ssh_config_unreadable',
  'daemon_user_unknown',
  'ssh_settings_differ',
  'daemon_build_fails',
  'key_copy_outdated',
  'slots_full',
  'slot_stuck',
  'upload_lock',
  'needs_openssh',
  // network
  'tcp_timeout',
  'tcp_unreachable',
  'kex_timeout',
  'connection_lost',
  'dead_address',
  'slow_link',
  // remote, down
  'tcp_refused',
  'not_ssh',
  'banner_timeout',
  'login_timeout',
  'sshd_closed',
  'sessions_forbidden',
  'auth_check_required',
  'auth_method_refused',
  'jump_dns',
  'forwarding_forbidden',
  'kex_mismatch',
  'nologin',
  'session_ended',
  'process_limit',
  'shell_reads_input',
  'shell_hangs',
  'remote_environment',
  'shell_noise',
  'protocol_mismatch',
  'protocol',
  'nix_missing',
  'nix_not_executable',
  'nix_version',
  'daemon_down',
  'daemon_frozen',
  'daemon_denied',
  'daemon_crash',
  'disk_full',
  'inodes_full',
  'store_read_only',
  'store_locked',
  'copy_failed',
  'build_failed',
  'builder_hook_failed',
  'build_timeout',
  'oom',
  'exec_format',
  'remote_config_invalid',
  'builds_disabled',
  'system_missing',
  // remote, degraded or info
  'not_trusted',
  'slow_login',
  'slow_build',
  'feature_missing',
  'below_min_free',
  'disk_low',
  'sshd_throttled',
  'ssh_flood',
  'gc_wait',
  'forced_command',
  'no_shell',
  'clock_skew',
  'rebooted',
  'nix_vulnerable',
  'orphaned_sessions',
  'builder_substituter_unreachable',
  // security
  'host_key_changed',
  'host_key_mismatch',
  'host_key_revoked',
  'certificate_expired',
  'certificate_principal',
  'certificate_expires',
  'host_key_unpinned',
  // none
  'internal',
  'unclassified',
  'asleep',
  'drained',
  'dependency_failed',
  'not_requested',
  'not_applicable',
  'no_local_nix',
  'not_ssh_store',
  'no_data',
] as const

export type Kind = (typeof kindNames)[number]

const names: ReadonlySet<unknown> = new Set(kindNames)

export const isKind = (value: unknown): value is Kind => names.has(value)

/** What a probe supplies to the message and the fixes of a kind. */
export type Params = Readonly<Record<string, string>>

/** The part of the system that needs a change; `none` for the monitor itself and for states that need none. */
export const sides = ['client', 'network', 'remote', 'security', 'none'] as const
export type Side = (typeof sides)[number]

/** The state of the builder that a kind implies; kinds of state `info` do not change its health. */
export type KindState = 'down' | 'degraded' | 'info'

/** One step of a fix: an instruction, or a shell command, on this machine or on the builder, as root where it says so. */
export type Fix =
  | { readonly text: string }
  | {
      readonly command: string
      readonly where: 'here' | 'builder'
      readonly root: boolean
      /** Run it as this user, who is neither root nor necessarily you. */
      readonly user?: string
    }
