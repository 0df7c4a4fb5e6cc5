import { join } from 'node:path'
import { configFault } from '../../diagnosis/diagnose.ts'
import type { ClientOutcome } from '../../model.ts'
import { found, ok, type ClientContext } from './outcome.ts'

/** Is the builders list usable, and used? */
export const checkConfig = async ({
  active,
  env,
  machine,
}: ClientContext): Promise<ClientOutcome> => {
  const fault = active.problems.find(problem => problem.stopsBuilds)
  if (fault) {
    const { kind, params } = configFault(fault)
    return found('failed', kind, params)
  }
  const setting = active.nix.settings?.['builders']
  if (active.builders.length > 0 || setting?.value.trim() !== '') return ok
  const file = join(env['NIX_CONF_DIR'] || '/etc/nix', 'machines')
  const lists = (await machine.readText(file))
    ?.split('\n')
    .some(line => line.replace(/#.*/, '').trim() !== '')
  return lists
    ? found('degraded', 'machines_unused', {
        file,
        where: setting.origin
          ? `${setting.origin.file}:${setting.origin.line}`
          : '/etc/nix/nix.conf',
      })
    : ok
}
