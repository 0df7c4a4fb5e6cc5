import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ActiveBuilders } from '../../model/index.ts'

/** What systemd handed to the service (systemd.exec(5) LoadCredential): copies that only it may read, until it ends. */
export interface Credentials {
  /** The environment with which ssh and Nix find the copies. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** The same builders, told where the copies of their keys are. */
  readonly attachCredentials: (active: ActiveBuilders) => ActiveBuilders
}

type Env = Credentials['env']

/** The name of the copy of a file: its path with `-` for each `/` (`etc-nix-builder_ed25519`). */
export const credentialName = (path: string): string =>
  path.replace(/^\/+/, '').replaceAll('/', '-')

/** Copies of root's own files of ssh; `root-.ssh-id_*` are its default keys. */
const rootSshConfig = 'ssh-config'
const rootKnownHosts = 'ssh-known_hosts'
const rootKeyName = /^root-\.ssh-id_[\w.-]*(?<!\.pub)$/

/**
 * Takes over the credentials of the service. Root's ssh_config, known_hosts and default keys become an ssh_config of our
 * own in RUNTIME_DIRECTORY, which all of our ssh programs read by `-F` in NIX_SSHOPTS: there, unlike with `-o`, a host key
 * that a machine line pins still wins. Rejects where that file cannot be written.
 */
export const loadCredentials = async (env: Env): Promise<Credentials> => {
  const directory = env['CREDENTIALS_DIRECTORY']
  const names = new Set(directory ? await listCredentials(directory) : [])
  if (!directory || names.size === 0) return { env, attachCredentials: active => active }
  const attachCredentials = (active: ActiveBuilders): ActiveBuilders => ({
    ...active,
    builders: active.builders.map(builder => {
      const name = credentialName(builder.sshKey ?? builder.params['ssh-key'] ?? '')
      return names.has(name) ? { ...builder, credential: join(directory, name) } : builder
    }),
  })
  const config = renderSshConfig(directory, names)
  const runtime = env['RUNTIME_DIRECTORY']?.split(':')[0]
  if (config === null || !runtime) return { env, attachCredentials }
  const file = join(runtime, 'ssh_config')
  await writeFile(file, config, { mode: 0o600 })
  // Ours first: of two -F the last one counts, and that is the administrator's
  const options = [`-F ${file}`, env['NIX_SSHOPTS']].filter(Boolean).join(' ')
  return { env: { ...env, NIX_SSHOPTS: options }, attachCredentials }
}

/** White space alone stands for a file that was not there: with it, the unit starts all the same (SetCredential). */
const listCredentials = async (directory: string): Promise<readonly string[]> => {
  const names = await readdir(directory).catch(() => [])
  const texts = await Promise.all(
    names.map(name => readFile(join(directory, name), 'latin1').catch(() => '')),
  )
  return names.filter((_, index) => texts[index]?.trim())
}

const renderSshConfig = (
  directory: string,
  names: ReadonlySet<string>,
): string | null => {
  const path = (name: string) => join(directory, name)
  const keys = [...names].filter(name => rootKeyName.test(name)).sort()
  const hasKnownHosts = names.has(rootKnownHosts)
  if (!hasKnownHosts && !names.has(rootSshConfig) && keys.length === 0) return null
  return [
    '# Written by builder-monitor when it starts, from the credentials of its service: changes are lost.',
    ...(names.has(rootSshConfig) ? [`Include ${path(rootSshConfig)}`] : []),
    'Include /etc/ssh/ssh_config',
    'Host *',
    ...(hasKnownHosts
      ? [`  UserKnownHostsFile ${path(rootKnownHosts)} ~/.ssh/known_hosts`]
      : []),
    ...keys.map(name => `  IdentityFile ${path(name)}`),
    '',
  ].join('\n')
}
