import { isKind, kindNames } from '../model/index.ts'
import { closestMatch } from '../text/closest-match.ts'
import { renderRunbook } from '../diagnosis/runbook.ts'
import { UsageError, type Io } from './terminal.ts'
import { parseArguments } from './arguments.ts'

/** The runbook entry of a kind. Exit 0, or 3 where there is no such kind. */
export const explainCommand = (args: readonly string[], io: Io): Promise<number> => {
  const { positionals } = parseArguments(args, {})
  const [kind, ...more] = positionals
  if (kind === undefined || more.length > 0)
    throw new UsageError(
      `say: builder-monitor explain KIND, one of ${kindNames.join(' ')}`,
    )
  if (!isKind(kind)) {
    const suggestion = closestMatch(kind, kindNames)
    throw new UsageError(
      `there is no kind ${kind}${suggestion ? `, did you mean ${suggestion}?` : ''}`,
    )
  }
  io.out(renderRunbook(kind))
  return Promise.resolve(0)
}
