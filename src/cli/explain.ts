import { isKind, kindNames } from '../diagnosis/kinds.ts'
import { nearest } from '../diagnosis/nearest.ts'
import { explain } from '../diagnosis/runbook.ts'
import { UsageError, type Io } from './io.ts'
import { parse } from './parse.ts'

/** The runbook entry of a kind. Exit 0, or 3 where there is no such kind. */
export const explainCommand = (args: readonly string[], io: Io): Promise<number> => {
  const { positionals } = parse(args, {})
  const [kind, ...more] = positionals
  if (kind === undefined || more.length > 0)
    throw new UsageError(
      `say: builder-monitor explain KIND, one of ${kindNames.join(' ')}`,
    )
  if (!isKind(kind)) {
    const near = nearest(kind, kindNames)
    throw new UsageError(
      `there is no kind ${kind}${near ? `, did you mean ${near}?` : ''}`,
    )
  }
  io.out(explain(kind))
  return Promise.resolve(0)
}
