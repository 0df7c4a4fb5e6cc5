import { resultValue } from '../freshness.ts'
import { editMachine } from '../../nix/machines/edit-machine-line.ts'
import {
  formatOrigin,
  type BuilderFinding,
  type LintContext,
  type LintRule,
} from './rule.ts'

/** Checks the settings that the builder reports. */
export const lintBuilder = (context: LintContext): readonly BuilderFinding[] =>
  rules.flatMap(rule => rule(context) ?? [])

const mib = 2 ** 20
const gib = 2 ** 30

/**
 * Each build needs a build user of its own and waits for one. max-jobs of the builder is no limit: it applies per
 * connection, and each build has its own (three at once with max-jobs = 1, observed with 2.8, 2.26 and 2.34).
 */
const tooManyJobs: LintRule = ({ builder, state }) => {
  const users = resultValue(state.probes.system?.lastSuccess)?.buildUsers ?? 0
  if (users === 0 || builder.maxJobs <= users) return null
  return {
    rule: 'max_jobs_above_build_users',
    message: `the line advertises ${builder.maxJobs} slots, but the builder has ${users} build users, so the other builds would wait there (${formatOrigin(builder)})`,
    fix: editMachine(builder, { 4: String(users) }),
  }
}

/** Space for a large build: a tenth of the store, between 1 and 50 GiB. */
const recommendedMinFree = (sizeBytes: number): number =>
  Math.round(Math.min(50 * gib, Math.max(gib, sizeBytes / 10), sizeBytes / 4) / mib) * mib

const minFree: LintRule = ({ builder, state }) => {
  const system = resultValue(state.probes.system?.lastSuccess)
  const disk = resultValue(state.probes.disk?.lastSuccess)
  if (!disk || system?.minFree === null || system?.minFree === undefined) return null
  const { sizeBytes } = disk.store
  const recommended = recommendedMinFree(sizeBytes)
  const settings = `min-free = ${recommended}\nmax-free = ${3 * recommended}`
  if (system.minFree === 0)
    return {
      rule: 'min_free_off',
      message: `Nix does not collect garbage automatically (min-free is 0); add to nix.conf on ${builder.host ?? builder.name}`,
      fix: settings,
    }
  if (system.minFree >= 512 * mib || system.minFree >= sizeBytes / 20) return null
  return {
    rule: 'min_free_tiny',
    message: `min-free of ${Math.round(system.minFree / mib)} MiB is too small: one build needs more; add to nix.conf on ${builder.host ?? builder.name}`,
    fix: settings,
  }
}

/** gc.cc autoGC frees nothing if more than max-free is free already. */
const maxFree: LintRule = ({ builder, state }) => {
  const system = resultValue(state.probes.system?.lastSuccess)
  if (!system?.minFree || system.maxFree === null || system.maxFree > system.minFree)
    return null
  return {
    rule: 'max_free_below_min_free',
    message: `max-free (${system.maxFree}) is not above min-free (${system.minFree}), so a garbage collection frees almost nothing; add to nix.conf on ${builder.host ?? builder.name}`,
    fix: `max-free = ${3 * system.minFree}`,
  }
}

/** Builds of a root login open the store directly and run in the session's cgroup, not in nix-daemon.service. */
const rootLogin: LintRule = ({ builder, state }) => {
  const memory = resultValue(state.probes.memory?.lastSuccess)
  if (builder.user !== 'root' || memory?.daemonBytes == null) return null
  if (memory.daemonLimitBytes === null) return null
  return {
    rule: 'root_login',
    message: `builds run outside nix-daemon.service when ssh logs in as root, so its memory limit does not apply to them; log in as a user in trusted-users (${formatOrigin(builder)})`,
    fix: editMachine(builder, {
      1: builder.storeUri.replace('://root@', '://remotebuild@'),
    }),
  }
}

const memoryMax: LintRule = ({ builder, state }) => {
  const memory = resultValue(state.probes.memory?.lastSuccess)
  if (memory?.daemonBytes == null || memory.daemonLimitBytes !== null) return null
  if (builder.user === 'root') return null
  return {
    rule: 'memory_max_unset',
    message: `nix-daemon has no memory limit, so one build can exhaust the whole machine; on ${builder.host ?? builder.name}: sudo systemctl edit nix-daemon.service`,
    fix: '[Service]\nMemoryMax=90%',
  }
}

const rules: readonly LintRule[] = [tooManyJobs, minFree, maxFree, rootLogin, memoryMax]
