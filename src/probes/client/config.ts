import { join } from 'node:path'
import { configCause } from '../../diagnosis/diagnose.ts'
import type { ClientOutcome } from '../../model/index.ts'
import { outcome, ok, type ClientContext } from './outcome.ts'

/** Checks whether the builders list is usable and used. */
export const checkConfig = async ({
  active,
  env,
  localSystem,
}: ClientContext): Promise<ClientOutcome> => {
  const problem = active.problems.find(problem => problem.isFatal)
  if (problem) {
    const { kind, params } = configCause(problem)
    return outcome('failed', kind, params)
  }
  const setting = active.nix.settings?.['builders']
  if (active.builders.length > 0 || setting?.value.trim() !== '') return ok
  const file = join(env['NIX_CONF_DIR'] || '/etc/nix', 'machines')
  const hasMachines = (await localSystem.readText(file))
    ?.split('\n')
    .some(line => line.replace(/#.*/, '').trim() !== '')
  return hasMachines
    ? outcome('degraded', 'machines_unused', {
        file,
        where: setting.origin
          ? `${setting.origin.file}:${setting.origin.line}`
          : '/etc/nix/nix.conf',
      })
    : ok
}
