import { alertRules } from '../alerts/rules.ts'
import { alertRunbook } from '../alerts/runbook.ts'
import { renderRunbook } from '../diagnosis/runbook.ts'
import { isKind, kindNames } from '../model/index.ts'
import { closestMatch } from '../text/closest-match.ts'
import { UsageError, type Io } from './terminal.ts'

/** Prints the runbook page of a kind or an alert. */
export const explainCommand = (name: string, io: Io): Promise<number> => {
  const page = findPage(name)
  io.out(io.isTerminal ? withoutLinks(page) : page)
  return Promise.resolve(0)
}

const findPage = (name: string): string => {
  if (isKind(name)) return renderRunbook(name)
  const rule = alertRules.find(one => one.name === name)
  if (rule) return alertRunbook(rule)
  const suggestion = closestMatch(name, [
    ...kindNames,
    ...alertRules.map(({ name }) => name),
  ])
  throw new UsageError(
    `no kind or alert is called ${name}${suggestion ? `, did you mean ${suggestion}?` : ''}`,
  )
}

/** Replaces links to other pages by their text. */
const withoutLinks = (markdown: string): string =>
  markdown.replaceAll(/\[(\w+)\]\(\w+\.md\)/g, '$1')
