import { isKind, kindNames } from '../model/index.ts'
import { renderRunbook } from '../diagnosis/runbook.ts'
import { closestMatch } from '../text/closest-match.ts'
import { UsageError, type Io } from './terminal.ts'

/** Prints the runbook page of a kind. */
export const explainCommand = (kind: string, io: Io): Promise<number> => {
  if (!isKind(kind)) {
    const suggestion = closestMatch(kind, kindNames)
    throw new UsageError(
      suggestion
        ? `no kind is called ${kind}, did you mean ${suggestion}?`
        : `no kind is called ${kind}; the kinds are ${kindNames.join(' ')}`,
    )
  }
  io.out(renderRunbook(kind))
  return Promise.resolve(0)
}
