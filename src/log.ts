import { fstatSync } from 'node:fs'
import { pino } from 'pino'

/** The part of pino's logger that rooms use: an object of fields first, then a constant lower-case message. */
export interface Log {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
  child(bindings: object): Log
}

export const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const
export type LogLevel = (typeof logLevels)[number]

/**
 * JSON lines on standard output; pino's own levels, ISO times. Keys and tokens have no field here by design.
 * `journalStream` is the environment's JOURNAL_STREAM: where standard output is that journal, each line begins with its
 * priority as sd-daemon(3) has it, which journald takes off again.
 */
export const createLog = (level: LogLevel, journalStream?: string): Log => {
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    redact: {
      paths: [
        'privateKey',
        'passphrase',
        'password',
        'token',
        'env',
        '*.privateKey',
        '*.passphrase',
        '*.env',
      ],
      censor: '[hidden]',
    },
  }
  if (!isJournal(journalStream)) return pino(options)
  const output = pino.destination({ dest: 1, sync: true })
  return pino(options, { write: line => output.write(priorityOf(line) + line) })
}

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
