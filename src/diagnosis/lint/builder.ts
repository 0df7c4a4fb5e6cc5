import type { BuilderState, ProbeName, ProbeValues } from '../../model/index.ts'
import { editMachine } from '../../nix/machines/edit-machine-line.ts'
import type { BuilderFinding, LintContext } from './lint.ts'
import { formatOrigin } from './list.ts'

/** Rules about what the builder told of its own settings. */
export const lintBuilder = (context: LintContext): readonly BuilderFinding[] =>
  rules.flatMap(rule => rule(context) ?? [])

type Rule = (context: LintContext) => BuilderFinding | null

const lastGoodValue = <P extends ProbeName>(
  { probes }: BuilderState,
  probe: P,
): ProbeValues[P] | null => {
  const outcome = probes[probe]?.lastSuccess?.outcome
  return outcome && 'value' in outcome ? (outcome.value ?? null) : null
}

const mib = 2 ** 20
const gib = 2 ** 30

/**
 * Each build needs a user of its own there, and waits for one. max-jobs of the builder is no limit: it counts by
 * connection, and every build comes over its own (three at once on max-jobs = 1, seen with 2.8, 2.26 and 2.34).
 */
const tooManyJobs: Rule = ({ builder, state }) => {
  const users = lastGoodValue(state, 'system')?.buildUsers ?? 0
  if (users === 0 || builder.maxJobs <= users) return null
  return {
    rule: 'max_jobs_above_build_users',
    message: `the line promises ${builder.maxJobs} slots, and it has ${users} build users, so that the rest would wait there (${formatOrigin(builder)})`,
    fix: editMachine(builder, { 4: String(users) }),
  }
}

/** Room for a large build: a tenth of the store, between 1 and 50 GiB. */
const recommendedMinFree = (sizeBytes: number): number =>
  Math.round(Math.min(50 * gib, Math.max(gib, sizeBytes / 10), sizeBytes / 4) / mib) * mib

const minFree: Rule = ({ builder, state }) => {
  const system = lastGoodValue(state, 'system')
  const disk = lastGoodValue(state, 'disk')
  if (!disk || system?.minFree === null || system?.minFree === undefined) return null
  const { sizeBytes } = disk.store
  const recommended = recommendedMinFree(sizeBytes)
  const settings = `min-free = ${recommended}\nmax-free = ${3 * recommended}`
  if (system.minFree === 0)
    return {
      rule: 'min_free_off',
      message: `garbage is never collected by itself there (min-free is 0); write into nix.conf on ${builder.host ?? builder.name}`,
      fix: settings,
    }
  if (system.minFree >= 512 * mib || system.minFree >= sizeBytes / 20) return null
  return {
    rule: 'min_free_tiny',
    message: `min-free of ${Math.round(system.minFree / mib)} MiB protects nothing: one build needs more; write into nix.conf on ${builder.host ?? builder.name}`,
    fix: settings,
  }
}

/** gc.cc autoGC frees nothing where there already is more than max-free. */
const maxFree: Rule = ({ builder, state }) => {
  const system = lastGoodValue(state, 'system')
  if (!system?.minFree || system.maxFree === null || system.maxFree > system.minFree)
    return null
  return {
    rule: 'max_free_below_min_free',
    message: `max-free (${system.maxFree}) is not above min-free (${system.minFree}), so a garbage collection ends before it frees anything of use; write into nix.conf on ${builder.host ?? builder.name}`,
    fix: `max-free = ${3 * system.minFree}`,
  }
}

/** A root login opens the store itself; its builds are in the session's cgroup (not in nix-daemon.service). */
const rootLogin: Rule = ({ builder, state }) => {
  const memory = lastGoodValue(state, 'memory')
  if (builder.user !== 'root' || memory?.daemonBytes == null) return null
  if (memory.daemonLimitBytes === null) return null
  return {
    rule: 'root_login',
    message: `builds of a root login do not run in nix-daemon.service, so its memory limit does not hold for them; log in as a user of trusted-users (${formatOrigin(builder)})`,
    fix: editMachine(builder, {
      1: builder.storeUri.replace('://root@', '://remotebuild@'),
    }),
  }
}

const memoryMax: Rule = ({ builder, state }) => {
  const memory = lastGoodValue(state, 'memory')
  if (memory?.daemonBytes == null || memory.daemonLimitBytes !== null) return null
  if (builder.user === 'root') return null
  return {
    rule: 'memory_max_unset',
    message: `nix-daemon has no memory limit, so one build can take the whole machine down; on ${builder.host ?? builder.name}: sudo systemctl edit nix-daemon.service`,
    fix: '[Service]\nMemoryMax=90%',
  }
}

const rules: readonly Rule[] = [tooManyJobs, minFree, maxFree, rootLogin, memoryMax]
