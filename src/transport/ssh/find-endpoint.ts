import { lookup } from 'node:dns/promises'
import type { FindEndpoint } from '../../model/index.ts'
import { formatEndpoint } from './prepare-login.ts'
import type { SshConfigDeps } from './resolve-ssh-config-as.ts'
import { sshCommand } from './ssh-command.ts'
import { resolveTarget } from './ssh-config.ts'

/** Creates a function that returns where a login of a builder would connect, without a connection. */
export const createFindEndpoint =
  ({ run, env, nix }: SshConfigDeps): FindEndpoint =>
  async (builder, signal) => {
    const command = sshCommand(builder, nix(), env['NIX_SSHOPTS'])
    if (!command) return null
    const resolved = await resolveTarget(command, run, env, signal)
    if (resolved.status !== 'ok') return null
    const target = resolved.value
    if (target.proxyJump !== null || target.proxyCommand !== null)
      return formatEndpoint(target)
    const aborted = new Promise<null>(resolve =>
      signal.addEventListener('abort', () => resolve(null), { once: true }),
    )
    const found = await Promise.race([
      lookup(target.hostname, { family: target.family, verbatim: true }).catch(
        () => null,
      ),
      aborted,
    ])
    return found === null ? null : `${found.address} port ${target.port}`
  }
