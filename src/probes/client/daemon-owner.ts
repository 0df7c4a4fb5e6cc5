import type { Run } from '../../model/index.ts'
import type { LocalSystem } from './local-system.ts'

/** The user of nix-daemon's ssh: its keys, known_hosts and ssh_config apply to builds. */
export interface DaemonOwner {
  readonly uid: number
  readonly user: string
  /** Home directory in the passwd database; null if unknown. */
  readonly home: string | null
  /** How it is known: `process 86`, `User= of nix-daemon.service`, `the owner of /nix/.../socket`. */
  readonly knownBy: string
  /** Variables that affect ssh; null if the environment is not readable or there is no process. */
  readonly env: Readonly<Record<string, string>> | null
}

export interface DaemonOwnerDeps {
  readonly localSystem: LocalSystem
  readonly env: Readonly<Record<string, string | undefined>>
  readonly run?: Run
  readonly signal: AbortSignal
}

/** The id that a user namespace shows for users that it does not map (user_namespaces(7)), as in a unit with PrivateUsers=. */
const overflowUid = 65_534

/**
 * Finds the owner of nix-daemon: of its process, else the User= of its unit (with socket activation per connection there is
 * no process between connections: Lix 2.95), else of its socket. Null if none of them has it. Never rejects.
 */
export const findDaemonOwner = async (
  deps: DaemonOwnerDeps,
): Promise<DaemonOwner | null> => {
  const process = await deps.localSystem.daemon()
  const withUser = async (
    uid: number,
    knownBy: string,
    env: DaemonOwner['env'],
  ): Promise<DaemonOwner | null> => {
    if (uid === overflowUid) return null
    const account = await readAccount(deps, String(uid))
    const user = account?.user ?? (uid === 0 ? 'root' : `uid ${uid}`)
    return { uid, user, home: account?.home ?? null, knownBy, env }
  }
  const uid = process?.uid ?? null
  const byProcess =
    process && uid !== null
      ? await withUser(uid, `process ${process.pid}`, process.env)
      : null
  if (byProcess) return byProcess
  const unit = await readUnit(deps)
  if (unit) {
    const account = await readAccount(deps, unit.user || 'root')
    if (account) {
      const knownBy = unit.user ? `User= of ${unit.name}` : `${unit.name}, without User=`
      return { ...account, knownBy, env: process?.env ?? null }
    }
  }
  const socket = socketPath(deps.env)
  const info = await deps.localSystem.stat(socket)
  return info && !('code' in info)
    ? withUser(info.uid, `the owner of ${socket}`, process?.env ?? null)
    : null
}

const socketPath = (env: Readonly<Record<string, string | undefined>>): string =>
  env['NIX_DAEMON_SOCKET_PATH'] ||
  `${env['NIX_STATE_DIR'] || '/nix/var/nix'}/daemon-socket/socket`

const timeoutMs = 3000

const runBriefly = async (
  { run, env, signal }: DaemonOwnerDeps,
  file: string,
  args: readonly string[],
): Promise<string | null> => {
  const deadline = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)])
  const result = await run?.({ file, args, env, signal: deadline, maxBytes: 16 * 1024 })
  return result?.code === 0 ? result.stdout : null
}

type Account = Pick<DaemonOwner, 'uid' | 'user' | 'home'>

/** Looks up a user name or number in /etc/passwd, then in the other databases of this machine. */
const readAccount = async (
  deps: DaemonOwnerDeps,
  nameOrUid: string,
): Promise<Account | null> => {
  const local = await deps.localSystem.readText('/etc/passwd')
  return (
    parseAccount(local ?? '', nameOrUid) ??
    parseAccount(
      (await runBriefly(deps, 'getent', ['passwd', nameOrUid])) ?? '',
      nameOrUid,
    )
  )
}

const parseAccount = (passwd: string, nameOrUid: string): Account | null => {
  for (const line of passwd.split('\n')) {
    const [user = '', , uid = '', , , home = ''] = line.split(':')
    if ((user === nameOrUid || uid === nameOrUid) && /^\d{1,10}$/.test(uid))
      return { uid: Number(uid), user, home: home.startsWith('/') ? home : null }
  }
  return null
}

/** In the order of preference: a running service, then one that the socket starts. */
const units = ['nix-daemon.service', 'nix-daemon@0.service', 'determinate-nixd.service']

/** Asks systemd for the unit that runs the daemon. Null without systemd or without such a unit. */
const readUnit = async (
  deps: DaemonOwnerDeps,
): Promise<{ readonly name: string; readonly user: string } | null> => {
  const socket = await runBriefly(deps, 'systemctl', [
    ...['show', 'nix-daemon.socket', '-p', 'LoadState', '-p', 'Accept'],
  ])
  const perConnection = /^Accept=yes$/m.test(socket ?? '')
  for (const name of perConnection ? units.toReversed() : units) {
    if (name.includes('@') !== perConnection) continue
    const shown = await runBriefly(deps, 'systemctl', [
      ...['show', name, '-p', 'LoadState', '-p', 'User'],
    ])
    if (shown !== null && /^LoadState=loaded$/m.test(shown))
      return {
        name: name.replace('@0', '@'),
        user: /^User=([\w.-]{1,64})$/m.exec(shown)?.[1] ?? '',
      }
  }
  return null
}
