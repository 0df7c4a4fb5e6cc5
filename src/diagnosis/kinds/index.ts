import type { Fix, Kind, KindState, Params, Side } from '../../model/index.ts'
import { clientKinds } from './client.ts'
import { shellQuote } from '../../nix/protocol/store-command.ts'
import { toKindParams, type KindInfo } from './kind-info.ts'
import { monitorKinds } from './monitor.ts'
import { networkKinds } from './network.ts'
import { remoteKinds } from './remote.ts'
import { securityKinds } from './security.ts'
import { settingKinds } from './settings.ts'

/** The table of all kinds. A probe supplies only a kind and its parameters; everything else is here. */
export const kinds: Readonly<Record<Kind, KindInfo>> = {
  ...clientKinds,
  ...settingKinds,
  ...networkKinds,
  ...remoteKinds,
  ...securityKinds,
  ...monitorKinds,
}

export const kindSide = (kind: Kind): Side => kinds[kind].side
export const kindState = (kind: Kind): KindState => kinds[kind].state

/** The alert that fires for a kind; null where none does. */
export const kindAlert = (kind: Kind): string | null =>
  kinds[kind].alert ?? (kinds[kind].state === 'down' ? 'NixBuilderDown' : null)

/**
 * Formats the message of a kind, without a capital letter or full stop. A parameter `jump` names the jump host that all
 * other parameters describe; `behind` the one from which a connection fails; `changedBy` and `changedAt` an option of ssh that
 * differs from the machine line and where it is set.
 */
export const formatMessage = (kind: Kind, params: Params): string => {
  const { changedBy, changedAt } = params
  const message = `${kinds[kind].message(toKindParams(params))}${changedBy ? `; ${changedBy} comes from ${changedAt}, not from the machine line` : ''}`
  if (params['jump']) return `jump host ${params['jump']}: ${message}`
  return params['behind'] && kind !== 'jump_dns'
    ? `${message}, from the jump host ${params['behind']}`
    : message
}

/** Returns the steps that fix a kind, in order; never empty. */
export const kindFixes = (kind: Kind, params: Params): readonly Fix[] => {
  const fixes = asSshUser(kinds[kind].fixes(toKindParams(params)), params['sshUser'])
  const { jump, behind, changedBy, changedAt } = params
  if (changedBy)
    return [
      {
        text: `Correct or remove ${changedBy} (${changedAt}), unless it is right for this host`,
      },
      ...fixes,
    ]
  if (behind && kind !== 'jump_dns') return fixes.map(fix => fromJumpHost(fix, behind))
  return jump && fixes.some(fix => 'where' in fix && fix.where === 'builder')
    ? [{ text: `Take the jump host ${jump} for the builder in these steps` }, ...fixes]
    : fixes
}

/** Runs a command of this machine on the jump host, where the connection fails. */
const fromJumpHost = (fix: Fix, jump: string): Fix =>
  'where' in fix && fix.where === 'here'
    ? {
        where: 'here',
        root: true,
        command: `ssh ${shellQuote(jump)} ${shellQuote(fix.root ? `sudo ${fix.command}` : fix.command)}`,
      }
    : fix

/** The command line of a fix, with sudo where it needs root. */
export const commandLine = (fix: Extract<Fix, { command: string }>): string =>
  fix.user === undefined
    ? fix.root
      ? `sudo ${fix.command}`
      : fix.command
    : `sudo -H -u ${shellQuote(fix.user)} ${fix.command}`

/** Commands of ssh here are for the user of nix-daemon, who is not always root. */
const asSshUser = (fixes: readonly Fix[], user = 'root'): readonly Fix[] =>
  user === 'root'
    ? fixes
    : fixes.map(fix =>
        'command' in fix && fix.root && fix.where === 'here' && /^ssh\b/.test(fix.command)
          ? { ...fix, root: false, user }
          : fix,
      )

/** Formats one step. `builder` names the machine where a command for the builder runs. */
export const formatFix = (fix: Fix, builder = 'the builder'): string =>
  'text' in fix
    ? fix.text
    : `${fix.where === 'here' ? 'run' : `on ${builder} run`}: ${commandLine(fix)}`

/** Formats all steps as one line of text. */
export const fixesText = (fixes: readonly Fix[], builder?: string): string =>
  fixes.map(fix => formatFix(fix, builder)).join('; ')
