import type { YamlNode } from './yaml.ts'
import { entriesOf, printable, textOf, type Faults } from './yaml-fields.ts'

const maxUsers = 1000
/** Twice the work for each step; the newest machines do 10 in a twentieth of a second. */
const slowCost = 14
const maxCost = 20

const mend = 'make a bcrypt hash: htpasswd -nBC 10 ""'

/** Bcrypt hashes by user. No sentence tells a hash. */
export const usersOf = (
  node: YamlNode | null,
  faults: Faults,
  warnings: Faults,
): ReadonlyMap<string, string> => {
  const users = new Map<string, string>()
  const entries = entriesOf(node, 'basic_auth_users', faults)
  if (entries.length > maxUsers && node)
    faults.add(node.line, `basic_auth_users has more than ${maxUsers} users`)
  for (const { key, line, value } of entries.slice(0, maxUsers)) {
    const user = printable(key)
    if (key.includes(':'))
      faults.add(line, `the user ${user} has a colon, which no client can send`)
    const hash = textOf(value, `the hash of ${user}`, faults) ?? ''
    const cost = Number(
      /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/.exec(hash)?.[1] ?? Number.NaN,
    )
    if (!(cost >= 4 && cost <= 31))
      faults.add(line, `the password of ${user} is no bcrypt hash; ${mend}`)
    else if (cost > maxCost)
      faults.add(
        line,
        `cost ${cost} of ${user} would take minutes at each login; ${mend}`,
      )
    else if (cost > slowCost)
      warnings.add(line, `cost ${cost} of ${user} takes seconds at its first login`)
    users.set(key, hash)
  }
  return users
}
