import { join } from 'node:path'
import type { ClientOutcome } from '../../model.ts'
import { isReachedBySsh } from '../../nix/store-uri.ts'
import { found, ok, type ClientContext } from './outcome.ts'
import { checkParity } from './parity.ts'

const reached = ({ active }: ClientContext) => active.builders.filter(isReachedBySsh)

/** Is there an ssh program, for us and in the PATH of nix-daemon, which runs it for real builds? */
export const checkSsh = async (context: ClientContext): Promise<ClientOutcome> => {
  const { active, env, machine, daemon } = context
  if (active.source === 'demo' || reached(context).length === 0)
    return found('skipped', 'not_asked', { detail: 'no builder is reached by ssh' })
  const has = async (path: string | undefined) => {
    for (const directory of (path ?? '').split(':').filter(Boolean))
      if (await machine.canExecute(join(directory, 'ssh'))) return true
    return false
  }
  if (!(await has(env['PATH']))) return found('failed', 'ssh_missing')
  const path = daemon.answers ? (await machine.daemon())?.path : null
  return path && !(await has(path))
    ? found('failed', 'ssh_missing', { whose: 'nix-daemon' })
    : ok
}

/** Builds of a daemon go out as root and in its environment: would its ssh do what ours does? */
export const checkIdentity = async (context: ClientContext): Promise<ClientOutcome> => {
  const { machine, daemon } = context
  if (reached(context).length === 0 || context.active.source === 'demo')
    return found('skipped', 'not_asked', { detail: 'no builder is reached by ssh' })
  if (!daemon.answers) return ok
  if (machine.uid === 0) return checkParity(context, reached(context), null)
  const home = process.platform === 'darwin' ? '/var/root' : '/root'
  const directory = join(home, '.ssh')
  const files = [join(directory, 'known_hosts'), join(directory, 'config')]
  const hidden: string[] = []
  for (const file of files)
    if ((await machine.look(file)) !== null && !(await machine.canRead(file)))
      hidden.push(file)
  return hidden.length > 0
    ? found('skipped', 'parity_unknown', { files: hidden.join(', ') })
    : checkParity(context, reached(context), home)
}

/** The keys of the machine lines, with the checks of ssh itself (authfile.c sshkey_perm_ok). */
export const checkKeys = async (context: ClientContext): Promise<ClientOutcome> => {
  const { machine } = context
  const keys = new Set(
    reached(context).flatMap(({ sshKey }) => (sshKey?.startsWith('/') ? [sshKey] : [])),
  )
  for (const key of keys) {
    const seen = await machine.look(key)
    if (seen === null) return found('degraded', 'key_missing', { key })
    // What we may not see we do not judge: it is root's
    if ('code' in seen) continue
    if (seen.uid === machine.uid && (seen.mode & 0o077) !== 0)
      return found('degraded', 'key_permissions', {
        key,
        detail: `mode ${(seen.mode & 0o777).toString(8)}`,
      })
  }
  return staleCopy(context)
}

/** systemd lends a service copies of keys, made when it starts (systemd.exec(5) LoadCredential); real builds read the key. */
const staleCopy = async (context: ClientContext): Promise<ClientOutcome> => {
  for (const { sshKey, credential } of reached(context)) {
    if (credential === undefined || !sshKey?.startsWith('/')) continue
    const [key, copy] = await Promise.all(
      [sshKey, credential].map(path => context.machine.look(path)),
    )
    if (key && copy && 'ctime' in key && 'mtime' in copy && key.ctime > copy.mtime)
      return found('degraded', 'client_mismatch', {
        detail: `${sshKey} has changed since this service was started with a copy of it`,
        mend: 'Let the service take the new one: sudo systemctl restart builder-monitor',
      })
  }
  return ok
}
