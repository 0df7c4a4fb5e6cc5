import { fstatSync } from 'node:fs'
import { pino } from 'pino'
import type { LogFormat, LogLevel } from './options.ts'
import { prettyLine } from './pretty.ts'

/** The part of pino's logger that rooms use: an object of fields first, then a constant lower-case message. */
export interface Log {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
  child(bindings: object): Log
}

export interface LogOptions {
  /** `auto` is pretty on a terminal and JSON elsewhere, as in a service. */
  readonly format?: LogFormat
  readonly isTerminal?: boolean
  /** Only pretty lines have colours. */
  readonly withColour?: boolean
  /** The environment's JOURNAL_STREAM. */
  readonly journalStream?: string | undefined
}

/** Names under which nothing is ever logged, down to this many levels. There is no such field by design. */
const hidden = ['privateKey', 'passphrase', 'password', 'secret', 'token', 'env']
const hiddenDepth = 5

/**
 * Lines on standard output, JSON or for people; pino's own levels, ISO times. Where standard output is the stream of the
 * journal, each line begins with its priority as sd-daemon(3) has it, which journald takes off again.
 */
export const createLog = (level: LogLevel, options: LogOptions = {}): Log => {
  const { format = 'json', isTerminal = false, withColour = false } = options
  const isPretty = format === 'pretty' || (format === 'auto' && isTerminal)
  const toJournal = isJournal(options.journalStream)
  const output = pino.destination({ dest: 1, sync: true })
  const write = (line: string) =>
    output.write(
      (toJournal ? priorityOf(line) : '') +
        (isPretty ? prettyLine(line, withColour) : line),
    )
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label: string) => ({ level: label }) },
      serializers: { err: plainError },
      redact: {
        paths: hidden.flatMap(name =>
          Array.from({ length: hiddenDepth }, (_, depth) => '*.'.repeat(depth) + name),
        ),
        censor: '[hidden]',
      },
    },
    isPretty || toJournal ? { write } : output,
  )
}

/** Without what hangs on an error besides: Node puts whole command lines and requests there. */
const plainError = (error: unknown): unknown =>
  error instanceof Error
    ? {
        type: error.name,
        message: error.message,
        ...('code' in error ? { code: error.code } : {}),
        stack: error.stack,
      }
    : error

/** Whether standard output is the stream that JOURNAL_STREAM names, `device:inode` (systemd.exec(5)): it is inherited by shells that redirect. */
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

/** A logger that says nothing. */
export const silentLog: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silentLog,
}
