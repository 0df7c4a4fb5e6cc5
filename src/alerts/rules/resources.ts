import type { AlertRule } from '../rule.ts'
import { toAges, hasSameLabels, selectBuildersIn } from '../sample-set.ts'
import { thresholds as t } from '../thresholds.ts'
import { perBuilder } from './promql.ts'

/** What runs out on a builder, or stays taken. */
export const resourceRules: readonly AlertRule[] = [
  {
    name: 'NixBuilderGCOverdue',
    expr: `(time() - nix_builder_below_min_free_since_timestamp_seconds > ${t.belowMinFreeSeconds}) and ${perBuilder} (nix_builder_filesystem_available_bytes{filesystem="store"} < ${t.gcOverdueBytes})`,
    evaluate: samples =>
      selectBuildersIn(
        toAges(
          samples,
          samples.select('nix_builder_below_min_free_since_timestamp_seconds'),
        ).filter(({ value }) => value > t.belowMinFreeSeconds),
        samples
          .select('nix_builder_filesystem_available_bytes', { filesystem: 'store' })
          .filter(({ value }) => value < t.gcOverdueBytes),
      ),
    sourceFamily: 'nix_builder_filesystem_available_bytes',
    for: '5m',
    severity: 'warning',
    summary: 'The garbage collector of a Nix builder frees no space.',
    description:
      '{{ $labels.builder }} has been below its min-free for {{ $value | humanizeDuration }}, and less than 1 GiB is left.',
    runbook: {
      meaning:
        'The next build starts a garbage collection that finds nothing to delete, and then runs out of space.',
      diagnosis:
        'On the builder: df -h /nix/store; nix-store --gc --print-dead | wc -l; ls -l /nix/var/nix/gcroots/auto.',
      fix: 'Delete old roots and profiles (sudo nix-collect-garbage -d) or give the store more room.',
    },
  },
  {
    name: 'NixBuilderStoreFull',
    expr: `nix_builder_filesystem_available_bytes < ${t.fullBytes} or nix_builder_filesystem_available_inodes < ${t.fullInodes}`,
    // `or` takes the inodes of a file system only where its bytes are not there already
    evaluate: samples => {
      const bytes = samples
        .select('nix_builder_filesystem_available_bytes')
        .filter(({ value }) => value < t.fullBytes)
      const inodes = samples
        .select('nix_builder_filesystem_available_inodes')
        .filter(({ value }) => value < t.fullInodes)
      return [...bytes, ...inodes.filter(one => !bytes.some(hasSameLabels(one)))]
    },
    sourceFamily: 'nix_builder_filesystem_available_bytes',
    for: '10m',
    severity: 'warning',
    summary: 'A file system of a Nix builder is full.',
    description:
      'On {{ $labels.builder }} the file system of {{ $labels.filesystem }} has {{ $value | humanize }} bytes or inodes left.',
    runbook: {
      meaning:
        'Builds fail there, often with words that name something else (a crashing daemon).',
      diagnosis: 'On the builder: df -h /nix/store /tmp; df -i /nix/store.',
      fix: 'sudo nix-collect-garbage -d; set min-free and max-free so that it happens by itself.',
    },
  },
  {
    name: 'NixBuilderSlotStuck',
    expr: `time() - nix_builder_slot_oldest_acquired_timestamp_seconds > ${t.slotSeconds}`,
    evaluate: samples =>
      toAges(
        samples,
        samples.select('nix_builder_slot_oldest_acquired_timestamp_seconds'),
      ).filter(({ value }) => value > t.slotSeconds),
    sourceFamily: 'nix_builder_slots_held',
    for: '15m',
    severity: 'warning',
    summary: 'A slot of a Nix builder is held for a day.',
    description:
      '{{ $labels.instance }} has held a slot of {{ $labels.builder }} for {{ $value | humanizeDuration }}.',
    runbook: {
      meaning:
        'A build that really lasts so long, or a hook that waits for ever and keeps the slot from others.',
      diagnosis: 'sudo builder-monitor status: process and age of each slot.',
      fix: 'Where nothing is built there any more, end the process that holds the lock. See slot_stuck.',
    },
  },
  {
    name: 'NixBuilderCredentialExpires',
    expr: `nix_builder_credential_expiry_timestamp_seconds - time() < ${t.expirySeconds}`,
    evaluate: samples =>
      toAges(samples, samples.select('nix_builder_credential_expiry_timestamp_seconds'))
        .map(({ labels, value }) => ({ labels, value: -value }))
        .filter(({ value }) => value < t.expirySeconds),
    for: '1h',
    severity: 'warning',
    summary: 'An SSH certificate for a Nix builder expires soon.',
    description:
      'The first certificate that is needed for {{ $labels.builder }} expires in {{ $value | humanizeDuration }}.',
    runbook: {
      meaning: 'From then on no build can log in there.',
      diagnosis:
        'ssh-keygen -L -f KEY-cert.pub, for the key of the machine line; on the builder, for its host certificate.',
      fix: 'Have the certificate signed anew by its authority.',
    },
  },
  {
    name: 'NixBuilderOOMKills',
    expr: `increase(nix_builder_daemon_oom_kills_total[1h]) > ${t.oomKillsPerHour}`,
    // Without Prometheus' extrapolation: processes that were killed are whole
    evaluate: samples =>
      samples
        .increaseOverHour('nix_builder_daemon_oom_kills_total')
        .filter(({ value }) => value > t.oomKillsPerHour),
    for: '0m',
    severity: 'info',
    summary: 'Builds are killed for lack of memory.',
    description:
      'On {{ $labels.builder }} {{ $value | humanize }} processes of nix-daemon were killed for lack of memory within an hour.',
    runbook: {
      meaning:
        'Builds fail there that need more memory than the limit of nix-daemon.service or the machine has.',
      diagnosis:
        'On the builder: journalctl -k | grep -i oom; systemctl show nix-daemon -p MemoryMax.',
      fix: 'Fewer jobs at a time (maxJobs, cores), or more memory.',
    },
  },
  {
    name: 'NixBuilderClockSkew',
    expr: `abs(nix_builder_clock_offset_seconds) > ${t.clockSkewSeconds}`,
    evaluate: samples =>
      samples
        .select('nix_builder_clock_offset_seconds')
        .map(({ labels, value }) => ({ labels, value: Math.abs(value) }))
        .filter(({ value }) => value > t.clockSkewSeconds),
    sourceFamily: 'nix_builder_clock_offset_seconds',
    for: '30m',
    severity: 'info',
    summary: 'The clock of a Nix builder is wrong.',
    description:
      'The clock of {{ $labels.builder }} is {{ $value | humanizeDuration }} off that of {{ $labels.instance }}.',
    runbook: {
      meaning:
        'Certificates are refused, and builds see wrong times; or it is the clock here that is wrong.',
      diagnosis: 'date -u on both machines; timedatectl.',
      fix: 'Set the time, and have it kept: systemctl enable --now systemd-timesyncd.',
    },
  },
]
