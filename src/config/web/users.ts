import type { YamlNode } from './yaml.ts'
import { parseEntries, printable, parseText, type ErrorList } from './yaml-fields.ts'

const maxUsers = 1000
/** Twice the work for each step; the newest machines do 10 in a twentieth of a second. */
const slowCostThreshold = 14
const maxCost = 20

const fix = 'make a bcrypt hash: htpasswd -nBC 10 ""'

/** Bcrypt hashes by user. No sentence tells a hash. */
export const parseUsers = (
  node: YamlNode | null,
  errors: ErrorList,
  warnings: ErrorList,
): ReadonlyMap<string, string> => {
  const users = new Map<string, string>()
  const entries = parseEntries(node, 'basic_auth_users', errors)
  if (entries.length > maxUsers && node)
    errors.add(node.line, `basic_auth_users has more than ${maxUsers} users`)
  for (const { key, line, value } of entries.slice(0, maxUsers)) {
    const user = printable(key)
    if (key.includes(':'))
      errors.add(line, `the user ${user} has a colon, which no client can send`)
    const hash = parseText(value, `the hash of ${user}`, errors) ?? ''
    const cost = Number(
      /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/.exec(hash)?.[1] ?? Number.NaN,
    )
    if (!(cost >= 4 && cost <= 31))
      errors.add(line, `the password of ${user} is no bcrypt hash; ${fix}`)
    else if (cost > maxCost)
      errors.add(line, `cost ${cost} of ${user} would take minutes at each login; ${fix}`)
    else if (cost > slowCostThreshold)
      warnings.add(line, `cost ${cost} of ${user} takes seconds at its first login`)
    users.set(key, hash)
  }
  return users
}
