import type { Builder, Outcome, SystemValue, TelemetryProbe } from '../model/index.ts'
import { oneLine } from '../text/truncate.ts'
import { determinateVersion } from '../nix/advisories.ts'
import { dialectOf, parseNixVersion } from '../nix/dialect.ts'
import { parseInteger } from '../nix/settings.ts'
import { parseNumber, parseKeyValues } from './telemetry/parse-output.ts'

const settings =
  'store|system|extra-platforms|system-features|max-jobs|cores|sandbox|min-free|max-free|build-users-group|allowed-users|trusted-users'

/** Systems, features and settings of the remote Nix. Reads the plain settings: JSON adds 100 KB of descriptions. */
export const systemProbe: TelemetryProbe<'system'> = {
  name: 'system',
  summary: 'advertised systems, features and slots match what the builder has',
  script: `
echo "time $(date +%s)"
echo "kernel $(uname -srm)"
echo "nix $(nix --version 2>/dev/null | head -n 1)"
sed -n 's/^btime /boot /p' /proc/stat 2>/dev/null || sysctl -n kern.boottime 2>/dev/null | sed 's/^{ sec = \\([0-9]*\\).*/boot \\1/'
echo "store $(cat /proc/sys/kernel/random/boot_id 2>/dev/null) $(stat -c %d:%i /nix/var/nix 2>/dev/null)"
echo "me $(id -un)"
echo "groups $(id -Gn)"
echo "remote \${NIX_REMOTE+set}"
echo "redirected $(env | sed -nE '/^NIX_REMOTE=(daemon|auto)?$/d; s/^(NIX_(REMOTE|STORE|STORE_DIR|STATE_DIR|CONF_DIR|DAEMON_SOCKET_PATH|CONFIG))=..*/\\1/p' | tr '\\n' ' ')"
{ if [ "$os" = Darwin ]; then dscl . -list /Users 2>/dev/null; else cat /etc/passwd 2>/dev/null; fi; } |
  grep -cE '^_?nixbld[0-9]+(:|$)' | sed 's/^/users /'
limit=; command -v timeout >/dev/null 2>&1 && limit='timeout 5'
{ $limit nix --extra-experimental-features nix-command config show 2>/dev/null ||
  $limit nix --extra-experimental-features nix-command show-config 2>/dev/null; } |
  grep -E '^(${settings}) = ' | sed 's/^/set./; s/ = / /'
`,
  parse: (output, context) => {
    const facts = parseKeyValues(output)
    const features = words(facts.get('set.system-features'))
    const system = facts.get('set.system')
    const systems = system
      ? [oneLine(system), ...words(facts.get('set.extra-platforms'))]
      : []
    const remoteTime = parseNumber(facts.get('time'))
    const nixVersion = parseNixVersion(facts.get('nix') ?? '')
    // Settings printed by Nix are normalized, so the dialect does not matter
    const bytes = (name: string) => {
      const value = parseInteger(facts.get(`set.${name}`) ?? '', dialectOf(null))
      return value === null ? null : Number(value)
    }
    const offset =
      remoteTime === null
        ? null
        : clockOffset(remoteTime, context.sentAt, context.receivedAt)
    const bootedAt = parseNumber(facts.get('boot'))
    const value: SystemValue = {
      nixVersion,
      determinateVersion: determinateVersion(facts.get('nix') ?? ''),
      systems,
      features,
      maxJobs: parseNumber(facts.get('set.max-jobs')),
      buildUsers: facts.get('set.build-users-group')
        ? parseNumber(facts.get('users'))
        : null,
      sandbox: oneLine(facts.get('set.sandbox') ?? '', 20) || null,
      cores: parseNumber(facts.get('set.cores')),
      minFree: bytes('min-free'),
      maxFree: bytes('max-free'),
      clockOffsetSeconds: offset,
      bootedAt,
      rebootDetectedAt: rebootDetectedAt(
        { bootedAt, clockOffsetSeconds: offset },
        context.last('system'),
        context.receivedAt,
      ),
      kernel: oneLine(facts.get('kernel') ?? '', 80) || null,
      isAllowedUser: isAllowedUser(facts),
      isOwnStore: isOwnStore(facts.get('store'), context.nix.storeId),
      redirectedBy: redirections(facts),
      ...compareWithBuilder(context.builder, systems, features),
    }
    return toOutcome(value, context.builder)
  },
  samples: (value, builder) => {
    const labels = { builder: builder.name }
    const sample = (family: string, number: number | null) =>
      number === null ? [] : [{ family, labels, value: number }]
    return [
      ...sample('nix_builder_min_free_bytes', value.minFree),
      ...sample('nix_builder_max_free_bytes', value.maxFree),
      ...sample('nix_builder_clock_offset_seconds', value.clockOffsetSeconds),
      ...sample('nix_builder_boot_timestamp_seconds', value.bootedAt),
    ]
  },
}

/** NIX_REMOTE changes the setting `store`, which then says nothing about nix.conf. */
const redirections = (facts: ReadonlyMap<string, string>): readonly string[] => {
  const store = facts.get('set.store')
  const isUsual = store === undefined || /^(?:auto|local)?$/.test(store)
  return [
    ...words(facts.get('redirected')),
    ...(isUsual || facts.get('remote') ? [] : ['store in nix.conf']),
  ]
}

/** nix-daemon closes the connection of users that neither setting contains (daemon.cc matchUser). */
const isAllowedUser = (facts: ReadonlyMap<string, string>): boolean | null => {
  const [allowed, trusted] = [
    facts.get('set.allowed-users'),
    facts.get('set.trusted-users'),
  ]
  const me = facts.get('me')
  if (allowed === undefined || trusted === undefined || !me) return null
  const names = new Set([
    '*',
    me,
    ...words(facts.get('groups')).map(group => `@${group}`),
  ])
  return [...words(allowed), ...words(trusted)].some(name => names.has(name))
}

/** Both halves must be known: the boot of the kernel, and the directory of the store's state. */
const isOwnStore = (
  remote: string | undefined,
  local: string | null | undefined,
): boolean | null =>
  local && remote && /^[\da-f-]{36} \d{1,20}:\d{1,20}$/.test(remote)
    ? remote === local
    : null

const words = (text: string | undefined): string[] =>
  (text ?? '')
    .split(/\s+/)
    .filter(Boolean)
    .slice(0, 200)
    .map(word => oneLine(word, 60))

/** Returns the clock offset. The remote reads its clock, in whole seconds, between `sentAt` and `receivedAt`; a time between them is no offset. */
const clockOffset = (remote: number, sentAt: number, receivedAt: number): number => {
  if (remote + 1 < sentAt) return remote + 1 - sentAt
  if (remote > receivedAt) return remote - receivedAt
  return 0
}

/** Boot times are in whole seconds and drift with the clock. */
const bootToleranceSeconds = 30

/** Detects a reboot. The remote's boot time shifts with its clock (proc(5) btime), so it is corrected by the offset. */
const rebootDetectedAt = (
  now: Pick<SystemValue, 'bootedAt' | 'clockOffsetSeconds'>,
  last: SystemValue | null,
  at: number,
): number | null => {
  const [boot, previousBoot] = [now, last].map(value =>
    value?.bootedAt == null ? null : value.bootedAt - (value.clockOffsetSeconds ?? 0),
  )
  if (boot == null || previousBoot == null) return last?.rebootDetectedAt ?? null
  return boot - previousBoot > bootToleranceSeconds
    ? at
    : (last?.rebootDetectedAt ?? null)
}

const compareWithBuilder = (
  builder: Builder,
  systems: readonly string[],
  features: readonly string[],
) => {
  const advertised = [...builder.supportedFeatures, ...builder.mandatoryFeatures]
  const known = systems.length > 0
  return {
    missingSystems: known
      ? builder.systems.filter(s => s !== 'builtin' && !systems.includes(s))
      : [],
    missingFeatures: known
      ? [...new Set(advertised)].filter(f => !features.includes(f))
      : [],
    notAdvertisedFeatures: features.filter(f => !advertised.includes(f)),
  }
}

const toOutcome = (value: SystemValue, builder: Builder): Outcome<SystemValue> => {
  if (value.systems.length === 0)
    return {
      status: 'skipped',
      kind: 'no_data',
      params: { detail: 'no nix command in the PATH of the builder' },
    }
  if (value.missingSystems.length > 0) {
    const params = {
      missing: value.missingSystems.join(', '),
      offered: value.systems.join(', '),
    }
    return value.missingSystems.length === builder.systems.length
      ? { status: 'failed', kind: 'system_missing', params, value }
      : { status: 'degraded', kind: 'system_missing', params, value }
  }
  // Only degraded: the running daemon can have read another nix.conf; the canary shows the effect
  if (value.maxJobs === 0)
    return { status: 'degraded', kind: 'builds_disabled', params: {}, value }
  if (value.missingFeatures.length > 0)
    return {
      status: 'degraded',
      kind: 'feature_missing',
      params: {
        missing: value.missingFeatures.join(', '),
        offered: value.features.join(', '),
      },
      value,
    }
  return { status: 'ok', value }
}
