import { resultValue } from '../freshness.ts'
import { suggestLine } from '../../nix/machines/suggest-line.ts'
import { formatOrigin, type BuilderFinding, type LintContext } from './rule.ts'

/**
 * Finds lines whose fields are not where they belong. Other rules would offer the wrong line for them. `system` is the
 * local system.
 */
export const lintShape = (
  { builder, state }: Pick<LintContext, 'builder' | 'state'>,
  system: string,
): BuilderFinding | null => {
  if (builder.tomlName !== undefined) return null
  const [reported] = resultValue(state.probes.system?.lastSuccess)?.systems ?? []
  const suggested = suggestLine(builder.line, reported ?? system)
  return suggested === null
    ? null
    : {
        rule: 'fields_shifted',
        message: `${suggested.mistake}, so Nix reads other values than the line seems to say (${formatOrigin(builder)})`,
        fix: suggested.line,
      }
}
