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

/** JSON lines on standard output; pino's own levels, ISO times. Keys and tokens have no field here by design. */
export const createLog = (level: LogLevel): Log =>
  pino({
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: label => ({ level: label }) },
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
  })

/** A logger that says nothing. */
export const silentLog: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silentLog,
}
