import { oneLine } from '../../text/truncate.ts'
import type { PreparedLogin } from './prepare-login.ts'

/**
 * Returns the line of a login banner that Nix takes for an answer of its build hook (derivation-goal.cc tryBuildHook: a line
 * of stderr that begins with `# `); null if there is none, ssh does not print it, or the protocol is `ssh`, whose stderr is a
 * build log.
 */
export const findHookReply = (
  { builder, target }: Pick<PreparedLogin, 'builder' | 'target'>,
  banner: string,
): string | null => {
  const logLevel = target.options?.get('loglevel')?.[0] ?? 'INFO'
  if (builder.scheme === 'ssh' || /^(?:QUIET|SILENT|FATAL|ERROR)$/.test(logLevel))
    return null
  const line = banner.split('\n').find(each => each.startsWith('# '))
  return line === undefined ? null : oneLine(line)
}
