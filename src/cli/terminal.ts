/** What a command needs of the terminal, so that tests can hold it. */
export interface Io {
  readonly out: (text: string) => void
  readonly err: (text: string) => void
  readonly env: Readonly<Record<string, string | undefined>>
  /** Colours and a live look only on a terminal. */
  readonly isTerminal: boolean
  /** Fires on SIGINT and SIGTERM. */
  readonly signal: AbortSignal
}

/** A sentence for the user that ends the command with exit code 3 (or what the command's contract says). */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** Colours only on a terminal, and never with NO_COLOR (no-color.org). */
export const wantsColor = (isTerminal: boolean, env: Io['env']): boolean =>
  isTerminal && !env['NO_COLOR'] && env['TERM'] !== 'dumb'
