import type { AlertRule } from '../rule.ts'
import { toAges, excludeDrained, hasSameLabels, selectBuildersIn } from '../sample-set.ts'
import { thresholds as t } from '../thresholds.ts'
import { perBuilder, unlessDrained } from './promql.ts'

/** Alerts about resources of one builder. */
export const resourceRules: readonly AlertRule[] = [
  {
    name: 'NixBuilderGCOverdue',
    expr: `(time() - nix_builder_below_min_free_since_timestamp_seconds > ${t.belowMinFreeSeconds}) and ${perBuilder} (nix_builder_filesystem_available_bytes{filesystem="store"} < ${t.gcOverdueBytes}) ${unlessDrained}`,
    evaluate: samples =>
      excludeDrained(
        samples,
        selectBuildersIn(
          toAges(
            samples,
            samples.select('nix_builder_below_min_free_since_timestamp_seconds'),
          ).filter(({ value }) => value > t.belowMinFreeSeconds),
          samples
            .select('nix_builder_filesystem_available_bytes', { filesystem: 'store' })
            .filter(({ value }) => value < t.gcOverdueBytes),
        ),
      ),
    sourceFamily: 'nix_builder_filesystem_available_bytes',
    for: '5m',
    severity: 'warning',
    summary: 'Garbage collection on a Nix builder frees no space.',
    description:
      'The store of {{ $labels.builder }} has been below min-free for {{ $value | humanizeDuration }}, and less than 1 GiB is left.',
    runbook: {
      meaning:
        'The next build starts a garbage collection that finds nothing to delete, and then runs out of space.',
      diagnosis:
        'On the builder: `df -h /nix/store`; `nix-store --gc --print-dead | wc -l`; `ls -l /nix/var/nix/gcroots/auto`',
      fix: 'Delete old roots and profiles (`sudo nix-collect-garbage -d`) or enlarge the file system of the store.',
    },
  },
  {
    name: 'NixBuilderStoreFull',
    expr: `(nix_builder_filesystem_available_bytes < ${t.fullBytes} or nix_builder_filesystem_available_inodes < ${t.fullInodes}) ${unlessDrained}`,
    // PromQL's `or` adds the inode sample only for file systems without a byte sample
    evaluate: samples => {
      const bytes = samples
        .select('nix_builder_filesystem_available_bytes')
        .filter(({ value }) => value < t.fullBytes)
      const inodes = samples
        .select('nix_builder_filesystem_available_inodes')
        .filter(({ value }) => value < t.fullInodes)
      return excludeDrained(samples, [
        ...bytes,
        ...inodes.filter(one => !bytes.some(hasSameLabels(one))),
      ])
    },
    sourceFamily: 'nix_builder_filesystem_available_bytes',
    for: '10m',
    severity: 'warning',
    summary: 'A file system of a Nix builder is full.',
    description:
      'The {{ $labels.filesystem }} file system of {{ $labels.builder }} has {{ $value | humanize }} bytes or inodes left.',
    runbook: {
      meaning:
        'Builds fail on this builder, often with a misleading error (a crashing daemon).',
      diagnosis: 'On the builder: `df -h /nix/store /tmp`; `df -i /nix/store`',
      fix: '`sudo nix-collect-garbage -d`. Set min-free and max-free so that Nix collects garbage automatically.',
    },
  },
  {
    name: 'NixBuilderSlotStuck',
    expr: `time() - nix_builder_slot_oldest_acquired_timestamp_seconds > ${t.slotSeconds} ${unlessDrained}`,
    evaluate: samples =>
      excludeDrained(
        samples,
        toAges(
          samples,
          samples.select('nix_builder_slot_oldest_acquired_timestamp_seconds'),
        ).filter(({ value }) => value > t.slotSeconds),
      ),
    sourceFamily: 'nix_builder_slots_held',
    for: '15m',
    severity: 'warning',
    summary: 'A slot of a Nix builder has been in use for a day.',
    description:
      '{{ $labels.instance }} has been using a slot of {{ $labels.builder }} for {{ $value | humanizeDuration }}.',
    runbook: {
      meaning:
        'A build really takes that long, or a build hook hangs and blocks the slot.',
      diagnosis:
        '`sudo builder-monitor status` shows the process and the age of each slot.',
      fix: 'If the slot has no running build, end the process that holds the lock. See slot_stuck.',
    },
  },
  {
    name: 'NixBuilderCredentialExpires',
    expr: `nix_builder_credential_expiry_timestamp_seconds - time() < ${t.expirySeconds} ${unlessDrained}`,
    evaluate: samples =>
      excludeDrained(
        samples,
        toAges(samples, samples.select('nix_builder_credential_expiry_timestamp_seconds'))
          .map(({ labels, value }) => ({ labels, value: -value }))
          .filter(({ value }) => value < t.expirySeconds),
      ),
    for: '1h',
    severity: 'warning',
    summary: 'An SSH certificate for a Nix builder expires soon.',
    description:
      'A certificate for {{ $labels.builder }} expires in {{ $value | humanizeDuration }}.',
    runbook: {
      meaning: 'After the certificate expires, no build can log in to the builder.',
      diagnosis:
        '`ssh-keygen -L -f KEY-cert.pub` for the key in the machine line; on the builder, for its host certificate.',
      fix: 'Request a new certificate from the certificate authority.',
    },
  },
  {
    name: 'NixBuilderOOMKills',
    expr: `increase(nix_builder_daemon_oom_kills_total[1h]) > ${t.oomKillsPerHour} ${unlessDrained}`,
    // Unlike Prometheus, without extrapolation: the number of killed processes is an integer
    evaluate: samples =>
      excludeDrained(
        samples,
        samples
          .increaseOverHour('nix_builder_daemon_oom_kills_total')
          .filter(({ value }) => value > t.oomKillsPerHour),
      ),
    for: '0m',
    severity: 'info',
    summary: 'Builds on a Nix builder are killed by the OOM killer.',
    description:
      '{{ $value | humanize }} processes of nix-daemon on {{ $labels.builder }} were killed for lack of memory within an hour.',
    runbook: {
      meaning:
        'Builds that need more memory than the limit of nix-daemon.service or the machine fail.',
      diagnosis:
        'On the builder: `journalctl -k | grep -i oom`; `systemctl show nix-daemon -p MemoryMax`',
      fix: 'Run fewer jobs at a time (maxJobs, cores), or add memory.',
    },
  },
  {
    name: 'NixBuilderClockSkew',
    expr: `abs(nix_builder_clock_offset_seconds) > ${t.clockSkewSeconds} ${unlessDrained}`,
    evaluate: samples =>
      excludeDrained(
        samples,
        samples
          .select('nix_builder_clock_offset_seconds')
          .map(({ labels, value }) => ({ labels, value: Math.abs(value) }))
          .filter(({ value }) => value > t.clockSkewSeconds),
      ),
    sourceFamily: 'nix_builder_clock_offset_seconds',
    for: '30m',
    severity: 'info',
    summary: 'The clock of a Nix builder is wrong.',
    description:
      'The clock of {{ $labels.builder }} differs by {{ $value | humanizeDuration }} from the clock of {{ $labels.instance }}.',
    runbook: {
      meaning:
        'Certificates are rejected and builds see a wrong time. Possibly the clock of this machine is the wrong one.',
      diagnosis: '`date -u` on both machines; `timedatectl`',
      fix: 'Set the time and synchronize it: `systemctl enable --now systemd-timesyncd`',
    },
  },
]
