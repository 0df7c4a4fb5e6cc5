/** The terminal and the environment of a command, replaceable in tests. */
export interface Io {
  readonly out: (text: string) => void
  readonly err: (text: string) => void
  readonly env: Readonly<Record<string, string | undefined>>
  /** Whether standard output is a terminal. */
  readonly isTerminal: boolean
  /** Fires on SIGINT and SIGTERM. */
  readonly signal: AbortSignal
}

/** An error that the user can correct. Its message is printed, and the command exits with 3. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** Prints errors to standard error, each with the name of the program. */
export const printErrors = (messages: readonly string[], { err }: Io): void =>
  messages.forEach(message => err(`builder-monitor: ${message}\n`))

/** Returns whether to use colors: on a terminal, unless NO_COLOR is set (no-color.org). */
export const wantsColor = (isTerminal: boolean, env: Io['env']): boolean =>
  isTerminal && !env['NO_COLOR'] && env['TERM'] !== 'dumb'
