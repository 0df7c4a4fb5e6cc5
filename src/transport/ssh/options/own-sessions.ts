import type { PreparedLogin } from '../prepare-login.ts'

/** Values that our own sessions need, by option. They do not depend on what the user's ssh_config says about sessions. */
const sessionOptions: Readonly<Record<string, string>> = {
  ForkAfterAuthentication: 'no',
  RemoteCommand: 'none',
  SessionType: 'default',
  StdinNull: 'no',
}

/**
 * Returns the login with options for our own OpenSSH, where ssh_config has others: the effect on builds is verified
 * separately. Only options that this ssh has, because it rejects others.
 */
export const forOwnSessions = (login: PreparedLogin): PreparedLogin => {
  const { target, command } = login
  const overrides = Object.entries(sessionOptions).flatMap(([option, value]) => {
    const actual = target.options?.get(option.toLowerCase())?.[0]
    return actual === undefined || actual === value ? [] : [`-o${option}=${value}`]
  })
  return overrides.length === 0
    ? login
    : { ...login, command: { ...command, options: [...overrides, ...command.options] } }
}
