import type { Kind } from '../../../model/index.ts'
import {
  type DialContext,
  type DialResult,
  type PreparedLogin,
} from '../prepare-login.ts'
import type { SshCommand } from '../ssh-command.ts'
import { explainChangedAddress } from './changed-address.ts'
import {
  chooseOption,
  toFault,
  withOrigin,
  type OptionCheck,
  type OptionFault,
} from './check-options.ts'
import type { RiskyOption } from './risky-options.ts'

/** Failures that an option can cause. */
const causedByOptions: ReadonlySet<Kind> = new Set<Kind>(['kex_mismatch', 'ssh_option'])

/**
 * Compares the result of our login with what ssh does for Nix. A login that works although ssh would not fails with the
 * option as its cause; so does a failure that an option explains. `command` is that of Nix.
 */
export const verifyOptions = async (
  result: DialResult,
  login: PreparedLogin,
  command: SshCommand,
  check: OptionCheck,
  context: DialContext,
): Promise<DialResult> => {
  const { outcome, connection } = result
  const asNix = { ...login, command }
  if (!connection && outcome.status === 'failed' && !causedByOptions.has(outcome.kind))
    return explainChangedAddress(result, asNix, context)
  if (!connection && !(outcome.status === 'failed' && causedByOptions.has(outcome.kind)))
    return result
  const risky = await check.risky(asNix, context)
  for (const { option, value, effect } of risky)
    context.trace('option', `${option} ${value}${effect ? `: ${effect}` : ''}`)
  if (!connection) return explainFailure(result, asNix, risky, context)
  const fault = await check.verify(asNix, risky, connection, context)
  const value = 'value' in outcome ? outcome.value : undefined
  if (fault) {
    connection.close()
    return {
      outcome: { status: 'failed', ...fault, ...(value ? { value } : {}) },
      connection: null,
    }
  }
  const certain = risky.find(({ rule }) => rule?.isOverridden && rule.isCertain)
  if (!certain || outcome.status !== 'ok') return result
  const warning = await toFault(certain, login.builder, '', sourcesOf(asNix, context))
  return { outcome: { ...outcome, status: 'degraded', ...warning }, connection }
}

const sourcesOf = (
  { command }: PreparedLogin,
  { deps: { run, env }, signal }: DialContext,
) => ({ command, run, env, signal })

/** Names the option where ssh's message does, or where a list of algorithms leaves nothing that the server offers. */
const explainFailure = async (
  result: DialResult,
  login: PreparedLogin,
  risky: readonly RiskyOption[],
  context: DialContext,
): Promise<DialResult> => {
  const { outcome } = result
  if (outcome.status !== 'failed') return result
  const evidence = outcome.evidence ?? ''
  const sources = sourcesOf(login, context)
  const replace = (fault: OptionFault): DialResult => ({
    outcome: {
      ...outcome,
      ...fault,
      params: { ...outcome.params, ...fault.params },
      ...(evidence ? { evidence } : {}),
    },
    connection: null,
  })
  if (outcome.kind === 'ssh_option') {
    const option = outcome.params['option'] ?? ''
    const value = login.target.options?.get(option.toLowerCase())?.[0] ?? ''
    return replace(
      await withOrigin(
        { kind: outcome.kind, params: { value, ...outcome.params } },
        sources,
      ),
    )
  }
  const chosen = chooseOption(risky, evidence)
  if (chosen?.rule?.stage !== 'kex' || !offersDefault(evidence, chosen)) return result
  return replace(await toFault(chosen, login.builder, evidence, sources))
}

/** Whether the server offers something that the option leaves out and ssh has by default. */
const offersDefault = (evidence: string, { defaultValue }: RiskyOption): boolean => {
  const offer = /Their offer: (\S+)/.exec(evidence)?.[1]?.split(',') ?? []
  const usual = defaultValue?.split(',') ?? []
  return offer.some(name => usual.includes(name))
}
