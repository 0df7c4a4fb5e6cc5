import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ActiveBuilders } from '../../model/index.ts'

/** Credentials that systemd passed to the service (systemd.exec(5) LoadCredential): copies only the service can read while it runs. */
export interface Credentials {
  /** Environment in which ssh and Nix use the copies. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** Adds the paths of the copied keys to the builders. */
  readonly attachCredentials: (active: ActiveBuilders) => ActiveBuilders
}

type Env = Credentials['env']

/** Returns the name of the copy of a file: its path with `-` for each `/` (`etc-nix-builder_ed25519`). */
export const credentialName = (path: string): string =>
  path.replace(/^\/+/, '').replaceAll('/', '-')

/** Names for copies of root's ssh files; `root-.ssh-id_*` are root's default keys. */
const rootSshConfig = 'ssh-config'
const rootKnownHosts = 'ssh-known_hosts'
const rootKeyName = /^root-\.ssh-id_[\w.-]*(?<!\.pub)$/

/**
 * Loads the credentials of the service. Writes an ssh_config with root's ssh_config, known_hosts and default keys to
 * RUNTIME_DIRECTORY and passes it to ssh by `-F` in NIX_SSHOPTS: unlike with `-o`, a host key pinned by a machine line
 * still wins. Rejects if that file cannot be written.
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
  // First, because ssh uses the last -F, which must be the administrator's
  const options = [`-F ${file}`, env['NIX_SSHOPTS']].filter(Boolean).join(' ')
  return { env: { ...env, NIX_SSHOPTS: options }, attachCredentials }
}

/** A copy of only whitespace means a missing file: SetCredential provides it so that the unit starts. */
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
    '# Written by builder-monitor at start from its service credentials. Changes are lost.',
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
