/**
 * Every metric family: the only source of names, types, labels and HELP, also for docs/metrics.md. The names are a
 * contract with the dashboards and alerts of users.
 */
export interface Family {
  readonly name: string
  readonly type: 'gauge' | 'counter' | 'histogram'
  /** `builder` families have a sample per builder; prom-client provides the `process` families. */
  readonly group: 'builder' | 'fleet' | 'monitor' | 'process'
  readonly labels: readonly string[]
  readonly help: string
  readonly presence: Presence
}

/** When a family has a sample. */
export type Presence = keyof typeof presences

export const presences = {
  always: 'always',
  attempted: 'after the first attempt',
  fresh: 'while the measurement is younger than three intervals of its probe',
  cause: 'while there is a cause',
  platform: 'if the operating system provides it',
  stateDirectory: 'with a state directory',
  alerting: 'with built-in alerting',
  receivers: 'for each configured receiver',
} as const

const inGroup =
  <Group extends Family['group']>(group: Group, groupLabels: readonly string[]) =>
  <Name extends string>(
    type: Family['type'],
    name: Name,
    presence: Presence,
    help: string,
    labels: readonly string[] = [],
  ) => ({ name, type, group, labels: [...groupLabels, ...labels], help, presence })

const builder = inGroup('builder', ['builder'])
const fleet = inGroup('fleet', [])
const monitor = inGroup('monitor', [])
const process = inGroup('process', [])

// A table with one line per family
// prettier-ignore
export const families = [
  builder('gauge', 'nix_builder_info', 'always', 'Constant 1; properties of the builder from the newest probe.', ['scheme', 'host', 'nix_version', 'advisory']),
  builder('gauge', 'nix_builder_configured_slots', 'always', 'maxJobs in the machine line.'),
  builder('gauge', 'nix_builder_configured_speed_factor', 'always', 'speedFactor in the machine line.'),
  builder('gauge', 'nix_builder_lint_findings', 'always', 'Configuration findings for this builder; builder-monitor status lists them.'),
  builder('gauge', 'nix_builder_up', 'attempted', '1 if the newest fresh login reached the Nix store, else 0; not debounced.'),
  builder('gauge', 'nix_builder_state', 'always', 'Debounced state, 1 for the current one.', ['state']),
  builder('gauge', 'nix_builder_cause', 'cause', '1 for the current cause; absent while healthy.', ['kind', 'side']),
  builder('gauge', 'nix_builder_state_change_timestamp_seconds', 'always', 'When the debounced state last changed.'),
  builder('counter', 'nix_builder_state_changes_total', 'always', 'Changes of the debounced state.'),
  builder('gauge', 'nix_builder_flapping', 'always', '1 while the state changes too often to be reliable.'),
  builder('gauge', 'nix_builder_drained', 'always', '1 while it is drained, by command or configuration.'),
  builder('gauge', 'nix_builder_quarantined', 'always', '1 while builds are kept away because it failed; 0 with quarantine.dryRun, while all builders are released, and for a builder that stays in service for lack of others.'),
  builder('gauge', 'nix_builder_slots_withheld', 'always', 'Slots whose locks builder-monitor holds, so that Nix sends no build; they do not count as in use. Drained and empty: equal to nix_builder_configured_slots.'),
  builder('counter', 'nix_builder_probe_attempts_total', 'always', 'Attempts that ran, without busy and skipped ones.', ['probe']),
  builder('counter', 'nix_builder_probe_failures_total', 'always', 'Failed attempts.', ['probe']),
  builder('gauge', 'nix_builder_probe_duration_seconds', 'attempted', 'Duration of the newest attempt that ran.', ['probe']),
  builder('gauge', 'nix_builder_probe_run_timestamp_seconds', 'always', 'End of the newest attempt, including busy and skipped ones; 0 before the first.', ['probe']),
  builder('gauge', 'nix_builder_probe_success_timestamp_seconds', 'always', 'End of the newest successful attempt; 0 before the first.', ['probe']),
  builder('gauge', 'nix_builder_ssh_phase_duration_seconds', 'fresh', 'Duration of each completed phase of the newest fresh login.', ['phase']),
  builder('gauge', 'nix_builder_canary_available', 'fresh', '1 if the newest conclusive canary build for this system succeeded.', ['system']),
  builder('gauge', 'nix_builder_trusted', 'fresh', '1 if the remote Nix trusts the user of the builder, absent if unknown.'),
  builder('gauge', 'nix_builder_host_key_pinned', 'fresh', '1 if the host key is verified by the machine line, known_hosts or a host CA.'),
  builder('gauge', 'nix_builder_credential_expiry_timestamp_seconds', 'fresh', 'First expiry of the user certificates that ssh would offer and, for logins through OpenSSH, of the presented host certificates; absent if none expires.'),
  builder('gauge', 'nix_builder_clock_offset_seconds', 'fresh', 'Remote minus local clock; the error is at most the round-trip time.'),
  builder('gauge', 'nix_builder_filesystem_available_bytes', 'fresh', 'Space available to unprivileged users.', ['filesystem']),
  builder('gauge', 'nix_builder_filesystem_available_inodes', 'fresh', 'Free inodes, absent if the file system has no limit.', ['filesystem']),
  builder('gauge', 'nix_builder_min_free_bytes', 'fresh', 'min-free of the remote Nix, 0 if automatic garbage collection is off.'),
  builder('gauge', 'nix_builder_max_free_bytes', 'fresh', 'max-free of the remote Nix.'),
  builder('gauge', 'nix_builder_below_min_free_since_timestamp_seconds', 'fresh', 'Since when scheduled probes have seen available space below min-free; absent while it is not.'),
  builder('gauge', 'nix_builder_memory_available_bytes', 'fresh', 'MemAvailable, or its equivalent on Darwin.'),
  builder('gauge', 'nix_builder_memory_size_bytes', 'fresh', 'Physical memory.'),
  builder('counter', 'nix_builder_memory_stalled_seconds_total', 'fresh', 'Seconds all tasks waited for memory (PSI full).'),
  builder('gauge', 'nix_builder_daemon_memory_bytes', 'fresh', 'Unreclaimable memory in the cgroup of nix-daemon.'),
  builder('gauge', 'nix_builder_daemon_memory_limit_bytes', 'fresh', 'memory.max of the cgroup of nix-daemon, absent without a limit.'),
  builder('counter', 'nix_builder_daemon_oom_kills_total', 'fresh', 'OOM kills in the cgroup of nix-daemon, reset with the unit.'),
  builder('gauge', 'nix_builder_boot_timestamp_seconds', 'fresh', 'Boot time of the builder.'),
  builder('gauge', 'nix_builder_build_users_held', 'fresh', 'Build users in use on the builder by builds of all clients.'),
  builder('gauge', 'nix_builder_gc_lock_held_since_timestamp_seconds', 'fresh', 'Since when scheduled probes have seen the same process hold the garbage collector lock; absent while none does.'),
  builder('gauge', 'nix_builder_round_trip_seconds', 'fresh', 'Round trip of a line over the kept connection; the shortest of three.'),
  builder('gauge', 'nix_builder_throughput_bytes_per_second', 'fresh', 'Rate of 1 MiB over the kept connection, measured every hour.', ['direction']),
  builder('gauge', 'nix_builder_sessions', 'fresh', 'Processes of nix-daemon --stdio and nix-store --serve on the builder, of all clients.'),
  builder('gauge', 'nix_builder_orphaned_sessions', 'fresh', 'Those of them whose ssh session has ended.'),
  builder('gauge', 'nix_builder_orphaned_session_oldest_seconds', 'fresh', 'Age of the oldest of them; 0 if there is none.'),
  builder('gauge', 'nix_builder_substituter_up', 'fresh', '1 if a substituter of the builder answers there; only with builders-use-substitutes.', ['substituter']),
  builder('gauge', 'nix_builder_slots_held', 'fresh', 'Slots in use by this client.'),
  builder('gauge', 'nix_builder_slot_oldest_acquired_timestamp_seconds', 'fresh', 'When the oldest slot in use was acquired; absent if none is in use.'),
  builder('gauge', 'nix_builder_upload_lock_waiters', 'fresh', 'Local processes waiting for the upload lock.'),
  fleet('gauge', 'nix_builders_available', 'always', 'Builders verified for this system and feature by their newest scheduled canary build; an empty feature is no feature.', ['system', 'feature']),
  fleet('gauge', 'nix_client_ready', 'always', '1 if this machine can send builds, by check; absent for a skipped check.', ['check']),
  fleet('histogram', 'nix_client_wait_seconds', 'always', 'Time until a scheduled canary build connects.'),
  monitor('gauge', 'builder_monitor_build_info', 'always', 'Constant 1.', ['version']),
  monitor('gauge', 'builder_monitor_probe_interval_seconds', 'always', 'Configured interval.', ['probe']),
  monitor('histogram', 'builder_monitor_schedule_delay_seconds', 'always', 'Delay between the due time and the start of an attempt.'),
  monitor('counter', 'builder_monitor_failures_total', 'always', 'Failed attempts of all builders by kind; every kind is present from the start.', ['kind']),
  monitor('counter', 'builder_monitor_quarantines_total', 'always', 'Quarantines of all builders by kind, with quarantine.dryRun those that would have started; every kind that makes a builder down and is not caused by this machine is present from the start.', ['kind']),
  monitor('gauge', 'builder_monitor_quarantine_released', 'always', '1 while builders that fail stay in service: more than half of them fail (panic), nothing holds slots (holder), the self-check fails (self_check), no other builder has their systems and features (floor), or a third is quarantined already (share).', ['reason']),
  monitor('gauge', 'builder_monitor_self_check_failed', 'always', '1 while the self-check fails (suspend, clock jump, event loop lag, most builders failed at once) and states are on hold.'),
  monitor('gauge', 'builder_monitor_config_last_reload_successful', 'always', '1 if the newest reload succeeded.'),
  monitor('gauge', 'builder_monitor_state_file_ok', 'stateDirectory', '1 if the last read and write of the state file succeeded; at 0 a restart loses the time since which builders are down.'),
  monitor('gauge', 'builder_monitor_alerts', 'alerting', 'Pending and firing built-in alerts by name; with Prometheus use its own ALERTS.', ['alertname', 'state']),
  monitor('counter', 'builder_monitor_notifications_total', 'receivers', 'Notifications accepted by the receiver: one per alert in a request, including repeated ones.', ['receiver']),
  monitor('counter', 'builder_monitor_notifications_failed_total', 'receivers', 'Notifications dropped: rejected by the receiver, or the queue was full.', ['receiver']),
  monitor('counter', 'builder_monitor_notification_errors_total', 'receivers', 'Failed requests to the receiver; their notifications are retried unless they count as dropped.', ['receiver']),
  monitor('gauge', 'builder_monitor_notifications_queue_length', 'receivers', 'Notifications not yet accepted by the receiver.', ['receiver']),
  process('counter', 'process_cpu_user_seconds_total', 'always', 'User CPU time of builder-monitor.'),
  process('counter', 'process_cpu_system_seconds_total', 'always', 'System CPU time of builder-monitor.'),
  process('counter', 'process_cpu_seconds_total', 'always', 'User and system CPU time of builder-monitor.'),
  process('gauge', 'process_start_time_seconds', 'always', 'Start time of builder-monitor.'),
  process('gauge', 'process_resident_memory_bytes', 'always', 'Resident memory of builder-monitor.'),
  process('gauge', 'process_virtual_memory_bytes', 'platform', 'Virtual memory of builder-monitor.'),
  process('gauge', 'process_open_fds', 'platform', 'Open file descriptors of builder-monitor.'),
  process('gauge', 'process_max_fds', 'platform', 'Limit of open file descriptors.'),
  process('gauge', 'nodejs_eventloop_lag_seconds', 'always', 'Event loop lag at the previous scrape.'),
  process('gauge', 'nodejs_eventloop_lag_max_seconds', 'always', 'Maximum event loop delay since the previous scrape.'),
  process('gauge', 'nodejs_heap_size_total_bytes', 'always', 'Heap size of Node.js.'),
  process('gauge', 'nodejs_heap_size_used_bytes', 'always', 'Used heap of Node.js.'),
] as const satisfies readonly Family[]

export type FamilyName = (typeof families)[number]['name']
