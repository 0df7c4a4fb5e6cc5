import { join } from 'node:path'
import type { ClientOutcome } from '../../model/index.ts'
import { isReachedBySsh } from '../../nix/machines/store-uri.ts'
import { outcome, ok, type ClientContext } from './outcome.ts'
import { findDaemonOwner } from './daemon-owner.ts'
import { compareSshSettings, whoseSsh } from './ssh-parity.ts'

const sshBuilders = ({ active }: ClientContext) => active.builders.filter(isReachedBySsh)

/** Checks for an ssh program in our PATH and in that of nix-daemon, which runs it for real builds. */
export const checkSsh = async (context: ClientContext): Promise<ClientOutcome> => {
  const { active, env, localSystem, daemon } = context
  if (active.source === 'demo' || sshBuilders(context).length === 0)
    return outcome('skipped', 'not_applicable', { detail: 'no builder uses ssh' })
  const has = async (path: string | undefined) => {
    for (const directory of (path ?? '').split(':').filter(Boolean))
      if (await localSystem.canExecute(join(directory, 'ssh'))) return true
    return false
  }
  if (!(await has(env['PATH']))) return outcome('failed', 'ssh_missing')
  const process = daemon.answers ? await localSystem.daemon() : null
  if (process?.path && !(await has(process.path)))
    return outcome('failed', 'ssh_missing', { whose: 'nix-daemon' })
  return checkSshOptions(context, process?.env ?? null)
}

/** Each builder costs a run of `ssh -G`, 5 ms. */
const maxBuilders = 50

/**
 * Checks for options of ssh that stop builds, in our environment and with the NIX_SSHOPTS of nix-daemon. Degraded: builds
 * on other builders can work.
 */
const checkSshOptions = async (
  context: ClientContext,
  daemonEnv: Readonly<Record<string, string | undefined>> | null,
): Promise<ClientOutcome> => {
  const { checkSshConfig, env, signal } = context
  if (!checkSshConfig) return ok
  const daemonOpts = daemonEnv?.['NIX_SSHOPTS']
  const environments =
    daemonEnv && (daemonOpts ?? '') !== (env['NIX_SSHOPTS'] ?? '')
      ? [{}, { NIX_SSHOPTS: daemonOpts }]
      : [{}]
  for (const builder of sshBuilders(context).slice(0, maxBuilders))
    for (const environment of environments) {
      const fault = await checkSshConfig(builder, environment, signal)
      if (fault) return outcome('degraded', fault.kind, fault.params)
    }
  return ok
}

/** Checks whether ssh of the user and in the environment of nix-daemon has the same settings as ours. */
export const checkIdentity = async (context: ClientContext): Promise<ClientOutcome> => {
  const { localSystem, daemon } = context
  if (sshBuilders(context).length === 0 || context.active.source === 'demo')
    return outcome('skipped', 'not_applicable', { detail: 'no builder uses ssh' })
  if (!daemon.answers)
    return outcome('skipped', 'not_applicable', {
      detail: 'no nix-daemon answers, so builds log in as the user who starts them',
    })
  const owner = await findDaemonOwner(context)
  if (!owner) return outcome('skipped', 'daemon_user_unknown')
  if (owner.uid === localSystem.uid)
    return compareSshSettings(context, sshBuilders(context), owner, null)
  const { home } = owner
  if (home === null)
    return outcome('skipped', 'daemon_user_unknown', {
      detail: `${owner.user}, as ${owner.knownBy} says, has no home directory`,
    })
  const directory = join(home, '.ssh')
  const files = [join(directory, 'known_hosts'), join(directory, 'config')]
  const unreadable: string[] = []
  for (const file of files)
    if ((await localSystem.stat(file)) !== null && !(await localSystem.canRead(file)))
      unreadable.push(file)
  return unreadable.length > 0
    ? outcome('skipped', 'root_ssh_config_unreadable', {
        ...whoseSsh(owner),
        files: unreadable.join(', '),
      })
    : compareSshSettings(context, sshBuilders(context), owner, home)
}

/** Checks the keys of the machine lines as ssh does (authfile.c sshkey_perm_ok). */
export const checkKeys = async (context: ClientContext): Promise<ClientOutcome> => {
  const { localSystem } = context
  const keys = new Set(
    sshBuilders(context).flatMap(({ sshKey }) =>
      sshKey?.startsWith('/') ? [sshKey] : [],
    ),
  )
  for (const key of keys) {
    const fileInfo = await localSystem.stat(key)
    if (fileInfo === null) return outcome('degraded', 'key_missing', { key })
    // An inaccessible key is root's and cannot be checked
    if ('code' in fileInfo) continue
    if (fileInfo.uid === localSystem.uid && (fileInfo.mode & 0o077) !== 0)
      return outcome('degraded', 'key_permissions', {
        key,
        detail: `mode ${(fileInfo.mode & 0o777).toString(8)}`,
      })
  }
  return checkCredentialAge(context)
}

/** Checks for outdated key copies: systemd copies keys at service start (systemd.exec(5) LoadCredential); real builds read the key. */
const checkCredentialAge = async (context: ClientContext): Promise<ClientOutcome> => {
  for (const { sshKey, credential } of sshBuilders(context)) {
    if (credential === undefined || !sshKey?.startsWith('/')) continue
    const [key, copy] = await Promise.all(
      [sshKey, credential].map(path => context.localSystem.stat(path)),
    )
    if (key && copy && 'ctime' in key && 'mtime' in copy && key.ctime > copy.mtime)
      return outcome('degraded', 'key_copy_outdated', {
        detail: `${sshKey} has changed since this service started with a copy of it`,
        service: 'builder-monitor',
      })
  }
  return ok
}
