import { printable } from './scalars.ts'
import { maxUsers, type WebFile } from './schema.ts'
import type { Issues } from './issues.ts'

/** Each step of the cost doubles the work; new machines compute cost 10 in 50 ms. */
const slowCost = 14
const maxCost = 20

const fix = 'create one with: htpasswd -nBC 10 ""'

/** Returns bcrypt hashes by user. Messages never contain a hash. */
export const parseUsers = (
  section: WebFile['basic_auth_users'],
  errors: Issues,
  warnings: Issues,
): ReadonlyMap<string, string> => {
  const users = new Map<string, string>()
  for (const [key, value] of Object.entries(section ?? {}).slice(0, maxUsers)) {
    const user = printable(key)
    const path = ['basic_auth_users', key]
    const hash = value ?? ''
    if (key.includes(':'))
      errors.addAtKey(path, `the user ${user} has a colon, which no client can send`)
    const cost = Number(
      /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/.exec(hash)?.[1] ?? Number.NaN,
    )
    if (!(cost >= 4 && cost <= 31))
      errors.addAtKey(path, `the password of ${user} is not a bcrypt hash; ${fix}`)
    else if (cost > maxCost)
      errors.addAtKey(
        path,
        `cost ${cost} of ${user} would take minutes at each login; ${fix}`,
      )
    else if (cost > slowCost)
      warnings.addAtKey(path, `cost ${cost} of ${user} takes seconds at the first login`)
    users.set(key, hash)
  }
  return users
}
