import { alertRules } from '../alerts/rules.ts'
import { alertRunbook } from '../alerts/runbook.ts'
import { dependsOnSshUser, renderRunbook, type LocalFacts } from '../diagnosis/runbook.ts'
import { isKind, kindNames } from '../model/index.ts'
import { findDaemonOwner } from '../probes/client/daemon-owner.ts'
import { localSystem } from '../probes/client/local-system.ts'
import { closestMatch } from '../text/closest-match.ts'
import { createRun } from '../transport/run.ts'
import { UsageError, type Io } from './terminal.ts'

/** Prints the runbook page of a kind or an alert. Where the fix depends on the user of nix-daemon, it says who that is here. */
export const explainCommand = async (name: string, io: Io): Promise<number> => {
  const facts =
    isKind(name) && dependsOnSshUser(name) ? { sshOwner: await findOwner(io) } : undefined
  const page = findPage(name, facts)
  io.out(io.isTerminal ? withoutLinks(page) : page)
  return 0
}

/** systemd can be slow to answer, and the page is useful without. */
const maxOwnerMs = 2000

const findOwner = async ({ env, signal }: Io): Promise<LocalFacts['sshOwner']> => {
  const timeout = AbortSignal.timeout(maxOwnerMs)
  const deadline = AbortSignal.any([signal, timeout])
  const late = new Promise<null>(resolve =>
    deadline.addEventListener('abort', () => resolve(null), { once: true }),
  )
  const run = createRun()
  return Promise.race([
    findDaemonOwner({ localSystem, env, run, signal: deadline }),
    late,
  ])
}

const findPage = (name: string, facts: LocalFacts | undefined): string => {
  if (isKind(name)) return renderRunbook(name, facts)
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
