import { fstatSync } from 'node:fs'
import { pino } from 'pino'
import type { LogFormat, LogLevel } from './options.ts'
import { prettyLine } from './pretty.ts'

/** The part of pino's logger that we use: first an object of fields, then a constant lower-case message. */
export interface Log {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
  child(bindings: object): Log
}

export interface LogOptions {
  /** `auto`: pretty on a terminal, JSON otherwise. */
  readonly format?: LogFormat
  readonly isTerminal?: boolean
  /** Colors for pretty lines. */
  readonly withColor?: boolean
  /** JOURNAL_STREAM of the environment. */
  readonly journalStream?: string | undefined
}

/** Field names that are censored, down to this many levels, as a safeguard: no code logs such fields. */
const censored = ['privateKey', 'passphrase', 'password', 'secret', 'token', 'env']
const censoredDepth = 5

/**
 * Creates a logger to standard output: pino's levels, ISO times. When standard output is the journal's stream, each line
 * starts with its priority (sd-daemon(3)), which journald removes.
 */
export const createLog = (level: LogLevel, options: LogOptions = {}): Log => {
  const { format = 'json', isTerminal = false, withColor = false } = options
  const isPretty = format === 'pretty' || (format === 'auto' && isTerminal)
  const toJournal = isJournal(options.journalStream)
  const output = pino.destination({ dest: 1, sync: true })
  const write = (line: string) =>
    output.write(
      (toJournal ? priorityOf(line) : '') +
        (isPretty ? prettyLine(line, withColor) : line),
    )
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label: string) => ({ level: label }) },
      serializers: { err: plainError },
      redact: {
        paths: censored.flatMap(name =>
          Array.from({ length: censoredDepth }, (_, depth) => '*.'.repeat(depth) + name),
        ),
        censor: '[hidden]',
      },
    },
    isPretty || toJournal ? { write } : output,
  )
}

/** Returns an error without its other properties: Node attaches whole command lines and requests. */
const plainError = (error: unknown): unknown =>
  error instanceof Error
    ? {
        type: error.name,
        message: error.message,
        ...('code' in error ? { code: error.code } : {}),
        stack: error.stack,
      }
    : error

/** True when standard output is the stream that JOURNAL_STREAM names as `device:inode` (systemd.exec(5)). */
const isJournal = (journalStream: string | undefined): boolean => {
  if (!journalStream) return false
  try {
    const { dev, ino } = fstatSync(1, { bigint: true })
    return journalStream === `${dev}:${ino}`
  } catch {
    return false // standard output is closed
  }
}

const priorities = new Map([
  ['debug', '<7>'],
  ['info', '<6>'],
  ['warn', '<4>'],
  ['error', '<3>'],
])

// pino writes the level first
const priorityOf = (line: string): string =>
  priorities.get(/^\{"level":"([a-z]+)"/.exec(line)?.[1] ?? '') ?? ''

/** A logger that discards everything. */
export const silentLog: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silentLog,
}
