import type { Builder } from '../../model/index.ts'
import type { NixDialect } from '../dialect.ts'
import { parseStoreUri } from './store-uri.ts'
import { suggestLine } from './suggest-line.ts'
import { items, quote, trim, words } from '../text.ts'

/** A Builder without its name and origin. */
export type Machine = Omit<Builder, 'name' | 'origin'>

export interface ParsedMachineLine {
  /** Null if Nix rejects the line. */
  readonly machine: Machine | null
  readonly error: MachineLineError | null
}

export interface MachineLineError {
  /** The error and its consequence in Nix. */
  readonly message: string
  /** True if Nix rejects the whole list. */
  readonly isFatal: boolean
}

/** The build hook exits when it rejects a list, and the build does not fall back to this machine (build-remote.cc). */
export const listConsequence =
  'every build on this machine fails until this line is fixed'

/** Returns the message of a fatal error without its consequence. */
export const withoutConsequence = (message: string): string =>
  message.replace(`: ${listConsequence}`, '')

/**
 * Parses one machine line and applies Nix's defaults (machines.cc parseBuilderLine); `system` is the local system.
 * Never throws.
 */
export const parseMachine = (
  text: string,
  dialect: NixDialect,
  system: string,
): ParsedMachineLine => {
  const columns = words(text)
  const field = (index: number): string | null => {
    const column = columns[index - 1]
    return column === undefined || column === '-' ? null : column
  }
  const suggested = suggestLine(text, system)
  const reject = (what: string): ParsedMachineLine =>
    rejectLine(
      suggested === null
        ? what
        : `${what} (${suggested.mistake}: write ${quote(suggested.line, 1000)})`,
    )
  const configured = field(1)
  if (configured === null)
    return reject(
      `the machine line ${quote(trim(text))} has no store URI in its first field`,
    )
  const uri = parseStoreUri(configured, dialect)
  const maxJobs = parseJobs(field(4) ?? '1')
  const speedFactor = parseSpeed(field(5) ?? '1', dialect)
  if (maxJobs === null)
    return reject(
      `the maximum number of jobs ${quote(field(4) ?? '')} (field 4) is not a whole number from 0 to 4294967295`,
    )
  if (speedFactor === null)
    return reject(
      `the speed factor ${quote(field(5) ?? '')} (field 5) is not ${dialect.fractionalSpeed ? 'a number of 0 or more' : 'a whole number, and this Nix does not support fractions'}`,
    )
  if (dialect.checksHostKey && !isBase64(field(8) ?? ''))
    return reject(`the host key ${quote(field(8) ?? '')} (field 8) is not base64`)
  if (uri.error?.isFatal) return reject(`${quote(uri.text)} ${uri.error.message}`)
  return {
    machine: {
      storeUri: uri.text,
      scheme: uri.scheme,
      user: uri.user,
      host: uri.host,
      port: uri.port,
      params: uri.params,
      systems: field(2) === null ? [system] : items(field(2) ?? ''),
      sshKey: field(3),
      maxJobs,
      speedFactor,
      supportedFeatures: items(field(6) ?? ''),
      mandatoryFeatures: items(field(7) ?? ''),
      publicHostKey: field(8),
      line: formatBuildersLine(text),
    },
    error: uri.error
      ? unusableStore(`${quote(uri.text)} ${uri.error.message}`)
      : configured.startsWith('@')
        ? parsedAsDirectory(configured)
        : field(3) && dialect.requiresAbsoluteKeyPaths && !field(3)?.startsWith('/')
          ? unusableStore(
              `the ssh key ${quote(field(3) ?? '')} (field 3) is not an absolute path`,
            )
          : null,
  }
}

const rejectLine = (what: string): ParsedMachineLine => ({
  machine: null,
  error: { message: `${what}: ${listConsequence}`, isFatal: true },
})

const unusableStore = (what: string): MachineLineError => ({
  message: `${what}: Nix cannot open this store, so it sends no builds there`,
  isFatal: false,
})

const parsedAsDirectory = (configured: string): MachineLineError => ({
  message: `${quote(configured)} has spaces before its @: Nix does not include that file but uses the text as a local store directory and builds there`,
  isFatal: false,
})

/** Parses an unsigned 32-bit number as C++ does. */
const parseJobs = (text: string): number | null => {
  const value = /^\+?\d{1,40}$/.test(text) ? Number(text) : null
  return value !== null && value < 2 ** 32 ? value : null
}

/** Parses a whole number up to 2.19, later a 32-bit float as C++ does. Nix uses 1 for 0. */
const parseSpeed = (text: string, dialect: NixDialect): number | null => {
  const value = dialect.fractionalSpeed ? parseFloat32(text) : parseJobs(text)
  return value === null || value < 0 ? null : Math.fround(value) === 0 ? 1 : value
}

const parseFloat32 = (text: string): number | null => {
  if (/^[+-]?inf(?:inity)?$/i.test(text))
    return text.startsWith('-') ? -Infinity : Infinity
  if (/^[+-]?nan(?:\(.*\))?$/i.test(text)) return NaN
  if (!/^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?$/i.test(text)) return null
  const value = Number(text)
  return Number.isFinite(Math.fround(value)) ? value : null
}

/** Nix decodes base64 up to the first `=` (hash.cc base64Decode). */
const isBase64 = (text: string): boolean =>
  /^[A-Za-z0-9+/]*$/.test(text.split('=', 1)[0] ?? '')

/** Formats the line for `--builders`. An `@` that is not an include here keeps a space before it, or it would become one. */
const formatBuildersLine = (text: string): string => {
  const line = trim(text)
  return line.startsWith('@') ? ` ${line}` : line
}
