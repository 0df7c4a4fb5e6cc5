import type { ClientOutcome, LocalSetting } from '../../model/index.ts'
import { atLeast, isLix } from '../../nix/dialect.ts'
import { formatBytes } from '../../text/bytes.ts'
import { oneLine } from '../../text/truncate.ts'
import { explainNotExecutable } from './executable.ts'
import { explainScript } from './hook-script.ts'
import { outcome, ok, type ClientContext } from './outcome.ts'

/** Looks at one effective setting. Null if nothing is wrong with it. Each result was seen with Nix 2.8 and 2.34. */
type SettingRule = (
  setting: LocalSetting,
  context: ClientContext,
) => Promise<ClientOutcome | null> | ClientOutcome | null

/**
 * Checks what the effective settings of Nix name: programs, files, limits. Nothing is run. Settings that break every
 * build come first, then those that break some.
 */
export const checkSettings = async (context: ClientContext): Promise<ClientOutcome> => {
  const { active } = context
  if (active.source === 'demo' || active.nix.version === null)
    return outcome('skipped', 'no_local_nix')
  const elsewhere = checkStoreDirectory(context)
  if (elsewhere) return elsewhere
  const found: ClientOutcome[] = []
  const logs = await checkLogDirectory(context)
  if (logs) found.push(logs)
  for (const [name, rule] of Object.entries(rules)) {
    const setting = active.nix.settings?.[name]
    const result = setting && (await rule(setting, context))
    if (result) found.push(result)
  }
  return found.find(({ status }) => status === 'failed') ?? found[0] ?? ok
}

/** A store path contains its store directory, so a builder with another one cannot have the same paths. */
const checkStoreDirectory = ({ env, active }: ClientContext): ClientOutcome | null => {
  const directory = env['NIX_STORE_DIR']
  return !directory || directory === '/nix/store' || active.builders.length === 0
    ? null
    : outcome('failed', 'store_elsewhere', { path: oneLine(directory, 200) })
}

/** Nix opens the log of a build before it asks the builder (derivation-goal.cc openLogFile). */
const checkLogDirectory = async ({
  env,
  localSystem,
}: ClientContext): Promise<ClientOutcome | null> => {
  const directory = env['NIX_LOG_DIR'] || '/nix/var/log/nix'
  // Other users build through the daemon, which writes it
  if (localSystem.uid !== 0 || (await localSystem.canWrite(`${directory}/drvs`)))
    return null
  return outcome('failed', 'build_not_started', {
    detail: `${oneLine(directory, 200)} for build logs is not writable`,
  })
}

const broken = (
  name: string,
  { value, origin }: LocalSetting,
  detail: string,
  status: 'failed' | 'degraded' = 'failed',
  kind: 'setting_broken' | 'setting_limits' | 'local_builds_broken' = 'setting_broken',
): ClientOutcome =>
  outcome(status, kind, {
    setting: name,
    value: oneLine(value, 200),
    detail,
    where: origin
      ? `${origin.file}:${origin.line}`
      : 'an environment variable or a default',
  })

const words = (value: string): readonly string[] => value.split(/\s+/).filter(Boolean)

/** Nix loads plugins before anything else, and a missing one ends every command (plugin.cc initPlugins). */
const pluginFiles: SettingRule = async (setting, { localSystem }) => {
  for (const path of words(setting.value))
    if ((await localSystem.stat(path)) === null)
      return broken('plugin-files', setting, `${path} does not exist`)
  return null
}

const buildHook: SettingRule = async (setting, { localSystem, active }) => {
  if (setting.value.trim() === '')
    return broken('build-hook', setting, 'it is empty, so Nix asks no builder')
  // The default of some packages is a name without a directory, which Nix replaces by its own path
  const [program = ''] = words(setting.value)
  if (!setting.value.startsWith('/')) return null
  const takesArguments = atLeast(active.nix.version, 2, 15) || isLix(active.nix.version)
  const path = takesArguments ? program : setting.value
  const reason = await explainNotExecutable(path, localSystem)
  return reason === null ? null : broken('build-hook', setting, `${path} ${reason}`)
}

/** It runs on this machine after each build, remote ones too, and its failure is that of the build. */
const postBuildHook: SettingRule = async (setting, context) => {
  if (setting.value === '') return null
  const reason = await explainHook(setting.value, context)
  return reason === null
    ? null
    : broken('post-build-hook', setting, `${setting.value} ${reason}`)
}

const explainHook = async (
  path: string,
  { localSystem, run, signal }: ClientContext,
): Promise<string | null> => {
  const reason = await explainNotExecutable(path, localSystem)
  if (reason !== null) return reason
  const isFalse = [path, await localSystem.realPath(path)].some(
    name => name?.endsWith('/false') ?? false,
  )
  if (isFalse) return 'always fails'
  if (!run) return null
  const daemon = await localSystem.daemon()
  const script = { localSystem, run, signal, path: daemon?.path ?? null }
  return explainScript(path, script)
}

/** With less, a build that prints one line is killed. */
const minLogBytes = 1024
/** Usual builds print more. */
const usualLogBytes = 1024 * 1024

/** Sent to the builder with each build, unlike in a build on this machine. */
const logSize: SettingRule = setting => {
  const size = Number(setting.value)
  if (!(size > 0 && size < usualLogBytes)) return null
  const detail = `the builder kills a build that prints more than ${formatBytes(size)}`
  return size < minLogBytes
    ? broken('max-build-log-size', setting, detail)
    : broken('max-build-log-size', setting, detail, 'degraded', 'setting_limits')
}

const minBuildSeconds = 60

const buildTime =
  (name: string, what: string): SettingRule =>
  setting => {
    const seconds = Number(setting.value)
    if (!(seconds > 0 && seconds < minBuildSeconds)) return null
    const detail = `the builder kills a build ${what} ${seconds} s`
    return broken(name, setting, detail, 'degraded', 'setting_limits')
  }

/** The serve protocol refuses it ("client requested repeating builds", Nix 2.8). Later versions have no such setting. */
const repeat: SettingRule = (setting, { active }) =>
  Number(setting.value) > 0 && active.builders.some(({ scheme }) => scheme === 'ssh')
    ? broken('repeat', setting, 'builders with ssh:// refuse to repeat builds')
    : null

/** The daemon would open itself, and a build waits for the lock that it holds (seen with 2.34). */
const store: SettingRule = setting =>
  setting.value === 'daemon' || setting.value.startsWith('unix://')
    ? broken(
        'store',
        setting,
        'nix-daemon and the build hook read it too, so each build waits for its own lock',
      )
    : null

/** A word that is no store ends every command of Nix since 2.31 ("Cannot parse Nix store"). */
const substituters: SettingRule = (setting, { active }) => {
  if (!atLeast(active.nix.version, 2, 31) || isLix(active.nix.version)) return null
  const wrong = words(setting.value).find(
    word => !/^(?:auto|daemon|local)(?:\?|$)/.test(word) && !/[:/]/.test(word),
  )
  return wrong === undefined
    ? null
    : broken('substituters', setting, `${oneLine(wrong, 80)} is no store`)
}

const localBuilds = (name: string, setting: LocalSetting, detail: string) =>
  broken(name, setting, detail, 'degraded', 'local_builds_broken')

/** Nix signs what this machine builds, after the build (local-store.cc signPathInfo). */
const secretKeys: SettingRule = async (setting, { localSystem }) => {
  for (const path of words(setting.value))
    if ((await localSystem.stat(path)) === null)
      return localBuilds('secret-key-files', setting, `${path} does not exist`)
  return null
}

const buildGroup: SettingRule = async (setting, { localSystem, daemon }) => {
  if (setting.value === '' || process.platform !== 'linux') return null
  // Only root and the daemon change to build users
  if (localSystem.uid !== 0 && !daemon.answers) return null
  const groups = await localSystem.readText('/etc/group')
  const hasGroup = groups?.split('\n').some(line => line.startsWith(`${setting.value}:`))
  // Other sources of groups (LDAP) are not read
  return groups === null || hasGroup !== false
    ? null
    : localBuilds('build-users-group', setting, `no group ${setting.value} in /etc/group`)
}

/** NAME:BASE64 with 32 bytes (crypto.cc). Nix reads the keys at each substitution, which then fails. */
const publicKeys: SettingRule = setting => {
  const wrong = words(setting.value).find(
    word => !/^[^:]{1,200}:[A-Za-z0-9+/]{43}=$/.test(word),
  )
  return wrong === undefined
    ? null
    : localBuilds(
        'trusted-public-keys',
        setting,
        `${oneLine(wrong, 80)} is no public key, so every download from a cache fails`,
      )
}

const rules: Readonly<Record<string, SettingRule>> = {
  'plugin-files': pluginFiles,
  'build-hook': buildHook,
  'post-build-hook': postBuildHook,
  'max-build-log-size': logSize,
  store,
  substituters,
  repeat,
  timeout: buildTime('timeout', 'that takes longer than'),
  'max-silent-time': buildTime('max-silent-time', 'that prints nothing for'),
  'secret-key-files': secretKeys,
  'build-users-group': buildGroup,
  'trusted-public-keys': publicKeys,
}
