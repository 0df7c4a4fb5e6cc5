/**
 * Every alert, in one table: prometheus/alerts.yml, its runbook pages and its tests are made from it or compared with it.
 * An alert exists where somebody can act; what nobody shall be woken for is a metric and no more.
 */
export interface AlertRule {
  readonly name: string
  /** PromQL over families of src/exporters/families.ts. */
  readonly expr: string
  /** How long the expression must hold, as Prometheus writes it; `0m` is at once. */
  readonly for: string
  readonly severity: 'critical' | 'warning' | 'info'
  /** One sentence that is always the same. */
  readonly summary: string
  /** A template of Prometheus with labels and value. */
  readonly description: string
  readonly runbook: {
    readonly means: string
    readonly look: string
    readonly mend: string
  }
}

/** The limits of all alerts; seconds and bytes. */
export const thresholds = {
  /** Canary intervals without a success. */
  unprovenIntervals: 4,
  belowMinFreeSeconds: 3600,
  gcOverdueBytes: 2 ** 30,
  fullBytes: 100 * 2 ** 20,
  fullInodes: 5000,
  slotSeconds: 86_400,
  expirySeconds: 3 * 86_400,
  /** Login intervals without an attempt; refused keys wait up to a quarter of an hour on purpose. */
  staleIntervals: 3,
  backOffSeconds: 900,
  oomKillsPerHour: 2,
  clockSkewSeconds: 60,
} as const

const t = thresholds
const perBuilder = 'on (instance, job, builder)'
const unlessSuspect = 'unless on (instance, job) (builder_monitor_suspect == 1)'
const inState = (states: string) => `(nix_builder_state{state=~"${states}"} == 1)`
const canaryInterval = 'builder_monitor_probe_interval_seconds{probe="canary"}'
const loginInterval = 'builder_monitor_probe_interval_seconds{probe="login"}'
const why = 'sudo builder-monitor status names the cause, its side and the mend.'

export const alertRules: readonly AlertRule[] = [
  {
    name: 'NixNoBuilderForSystem',
    expr: `nix_builders_available{feature=""} == 0 ${unlessSuspect}`,
    for: '5m',
    severity: 'critical',
    summary: 'No builder can build for a system.',
    description:
      'None of the builders that {{ $labels.instance }} knows is proven able to build for {{ $labels.system }} now.',
    runbook: {
      means:
        'Builds for this system wait for ever, fail, or run on this machine. Every builder that is configured for the system is down, unproven or drained.',
      look: 'sudo builder-monitor status; nix_builder_state and nix_builder_cause of the builders with that system.',
      mend: 'Mend one builder of that system first; each has its cause with a hint. If none shall exist any more, take its lines out of the builders list.',
    },
  },
  {
    name: 'NixBuilderHostKeyChanged',
    expr: 'nix_builder_cause{kind="host_key_changed"} == 1',
    for: '0m',
    severity: 'critical',
    summary: 'The host key of a Nix builder has changed.',
    description:
      'The builder {{ $labels.builder }} shows another host key than the one that {{ $labels.instance }} knows: it was installed anew, or somebody is in between.',
    runbook: {
      means:
        'ssh refuses to connect, so no build goes there. Whoever answers may be an attacker who would receive sources and answer with binaries.',
      look: 'On the builder itself (by its console): ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub; compare it with the key in the status.',
      mend: 'Only where the fingerprints are equal: ssh-keygen -R HOST, then take the new key over. See host_key_changed.',
    },
  },
  {
    name: 'NixClientNotReady',
    expr: 'nix_client_ready == 0',
    for: '5m',
    severity: 'warning',
    summary: 'A machine cannot send builds to its Nix builders.',
    description:
      '{{ $labels.instance }} itself is not fit to send builds: the check {{ $labels.check }} fails.',
    runbook: {
      means:
        'The fault is on the machine that sends the builds, not on the builders; their alerts follow from it and are inhibited.',
      look: 'sudo builder-monitor status, section "This machine".',
      mend: 'Each check prints what to type.',
    },
  },
  {
    name: 'NixBuilderDown',
    expr: `nix_builder_state{state="down"} == 1 unless ${perBuilder} (nix_builder_cause{kind="host_key_changed"} == 1)`,
    for: '5m',
    severity: 'warning',
    summary: 'A Nix builder cannot take work.',
    description:
      'The builder {{ $labels.builder }} has been down for more than five minutes, as {{ $labels.instance }} sees it.',
    runbook: {
      means:
        'Builds are not sent there, or fail there. The verdict is damped: it was seen at least twice.',
      look: `${why} nix_builder_cause has kind and side.`,
      mend: 'Follow the hint of the cause; builder-monitor explain KIND says more.',
    },
  },
  {
    name: 'NixBuilderUnknown',
    expr: `nix_builder_state{state="unknown"} == 1 ${unlessSuspect}`,
    for: '30m',
    severity: 'warning',
    summary: 'Nothing is known of a Nix builder.',
    description:
      'For half an hour {{ $labels.instance }} could not tell whether the builder {{ $labels.builder }} works.',
    runbook: {
      means:
        'No probe was conclusive: the builder turns logins away for being busy, or waits after refused keys, or the monitor does not come to its work.',
      look: `${why} nix_builder_probe_run_timestamp_seconds tells whether it is asked at all.`,
      mend: 'Where sshd is crowded raise MaxStartups there; where keys are refused mend the key.',
    },
  },
  {
    name: 'NixBuilderUnproven',
    expr: `(time() - max by (instance, job, builder) (nix_builder_probe_success_timestamp_seconds{probe=~"canary|direct"})) > on (instance, job) group_left () (${t.unprovenIntervals} * ${canaryInterval}) unless ${perBuilder} ${inState('down|drained|asleep')}`,
    for: '15m',
    severity: 'warning',
    summary: 'No build has proved a Nix builder for long.',
    description:
      'The last canary build on {{ $labels.builder }} that succeeded is {{ $value | humanizeDuration }} ago.',
    runbook: {
      means:
        'Logins work, but nothing was built there: canaries are held back (no space, no free slot) or do not come to an end.',
      look: 'sudo builder-monitor check BUILDER --canary',
      mend: 'Where canaries are busy look at slots and at the space above min-free; where they fail follow their hint.',
    },
  },
  {
    name: 'NixBuilderFlapping',
    expr: 'nix_builder_flapping == 1',
    for: '15m',
    severity: 'warning',
    summary: 'A Nix builder comes and goes.',
    description:
      'The state of {{ $labels.builder }} changes too often to believe any of it.',
    runbook: {
      means: 'More than four changes in half an hour, and not yet fifteen quiet minutes.',
      look: 'The timeline of the status page; changes(nix_builder_up[1h]).',
      mend: 'Usually the network, a reboot loop, or memory: look at the causes in the log (verdict changed).',
    },
  },
  {
    name: 'NixBuilderGCOverdue',
    expr: `(time() - nix_builder_below_min_free_since_timestamp_seconds > ${t.belowMinFreeSeconds}) and ${perBuilder} (nix_builder_filesystem_available_bytes{filesystem="store"} < ${t.gcOverdueBytes})`,
    for: '5m',
    severity: 'warning',
    summary: 'The garbage collector of a Nix builder frees no space.',
    description:
      '{{ $labels.builder }} has been below its min-free for {{ $value | humanizeDuration }}, and less than 1 GiB is left.',
    runbook: {
      means:
        'The next build starts a garbage collection that finds nothing to delete, and then runs out of space.',
      look: 'On the builder: df -h /nix/store; nix-store --gc --print-dead | wc -l; ls -l /nix/var/nix/gcroots/auto.',
      mend: 'Delete old roots and profiles (sudo nix-collect-garbage -d) or give the store more room.',
    },
  },
  {
    name: 'NixBuilderStoreFull',
    expr: `nix_builder_filesystem_available_bytes < ${t.fullBytes} or nix_builder_filesystem_available_inodes < ${t.fullInodes}`,
    for: '10m',
    severity: 'warning',
    summary: 'A file system of a Nix builder is full.',
    description:
      'On {{ $labels.builder }} the file system of {{ $labels.filesystem }} has {{ $value | humanize }} bytes or inodes left.',
    runbook: {
      means:
        'Builds fail there, often with words that name something else (a crashing daemon).',
      look: 'On the builder: df -h /nix/store /tmp; df -i /nix/store.',
      mend: 'sudo nix-collect-garbage -d; set min-free and max-free so that it happens by itself.',
    },
  },
  {
    name: 'NixBuilderSlotStuck',
    expr: `time() - nix_builder_slot_oldest_acquired_timestamp_seconds > ${t.slotSeconds}`,
    for: '15m',
    severity: 'warning',
    summary: 'A slot of a Nix builder is held for a day.',
    description:
      '{{ $labels.instance }} has held a slot of {{ $labels.builder }} for {{ $value | humanizeDuration }}.',
    runbook: {
      means:
        'A build that really lasts so long, or a hook that waits for ever and keeps the slot from others.',
      look: 'sudo builder-monitor status: process and age of each slot.',
      mend: 'Where nothing is built there any more, end the process that holds the lock. See slot_stuck.',
    },
  },
  {
    name: 'NixBuilderCredentialExpires',
    expr: `nix_builder_credential_expiry_timestamp_seconds - time() < ${t.expirySeconds}`,
    for: '1h',
    severity: 'warning',
    summary: 'An SSH certificate for a Nix builder expires soon.',
    description:
      'The first certificate that is needed for {{ $labels.builder }} expires in {{ $value | humanizeDuration }}.',
    runbook: {
      means: 'From then on no build can log in there.',
      look: 'ssh-keygen -L -f KEY-cert.pub, for the key of the machine line; on the builder, for its host certificate.',
      mend: 'Have the certificate signed anew by its authority.',
    },
  },
  {
    name: 'NixBuilderMonitorReloadFailed',
    expr: 'builder_monitor_config_last_reload_successful == 0',
    for: '10m',
    severity: 'warning',
    summary: 'builder-monitor runs with an old configuration.',
    description:
      'The newest configuration of {{ $labels.instance }} is bad and was refused.',
    runbook: {
      means:
        'What was changed does not hold; after a restart the monitor would not start.',
      look: 'builder-monitor config check',
      mend: 'Mend what it names, then systemctl reload builder-monitor.',
    },
  },
  {
    name: 'NixBuilderMonitorStale',
    expr: `(time() - max by (instance, job) (nix_builder_probe_run_timestamp_seconds{probe="login"} unless ${perBuilder} ${inState('drained|asleep')})) > on (instance, job) (${t.staleIntervals} * ${loginInterval} + ${t.backOffSeconds})`,
    for: '5m',
    severity: 'warning',
    summary: 'builder-monitor asks no builder any more.',
    description:
      '{{ $labels.instance }} answers scrapes, but its last login was {{ $value | humanizeDuration }} ago.',
    runbook: {
      means: 'What it shows is old. Its watchdog should have restarted it.',
      look: 'systemctl status builder-monitor; journalctl -u builder-monitor -n 100.',
      mend: 'systemctl restart builder-monitor, and send us the log.',
    },
  },
  {
    name: 'NixBuilderOOMKills',
    expr: `increase(nix_builder_daemon_oom_kills_total[1h]) > ${t.oomKillsPerHour}`,
    for: '0m',
    severity: 'info',
    summary: 'Builds are killed for lack of memory.',
    description:
      'On {{ $labels.builder }} {{ $value | humanize }} processes of nix-daemon were killed for lack of memory within an hour.',
    runbook: {
      means:
        'Builds fail there that need more memory than the limit of nix-daemon.service or the machine has.',
      look: 'On the builder: journalctl -k | grep -i oom; systemctl show nix-daemon -p MemoryMax.',
      mend: 'Fewer jobs at a time (maxJobs, cores), or more memory.',
    },
  },
  {
    name: 'NixBuilderClockSkew',
    expr: `abs(nix_builder_clock_offset_seconds) > ${t.clockSkewSeconds}`,
    for: '30m',
    severity: 'info',
    summary: 'The clock of a Nix builder is wrong.',
    description:
      'The clock of {{ $labels.builder }} is {{ $value | humanizeDuration }} off that of {{ $labels.instance }}.',
    runbook: {
      means:
        'Certificates are refused, and builds see wrong times; or it is the clock here that is wrong.',
      look: 'date -u on both machines; timedatectl.',
      mend: 'Set the time, and have it kept: systemctl enable --now systemd-timesyncd.',
    },
  },
]
