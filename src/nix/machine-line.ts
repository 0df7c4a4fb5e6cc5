import type { Builder } from '../model.ts'
import type { Flavour } from './flavour.ts'
import { parseStoreUri } from './store-uri.ts'
import { items, quote, trim, words } from './text.ts'

/** A machine as this Nix sees it; what is missing to a Builder is its name and its origin. */
export type Machine = Omit<Builder, 'name' | 'origin'>

/** A machine line read. */
export interface MachineLine {
  /** Null where Nix rejects the line. */
  readonly machine: Machine | null
  readonly fault: LineFault | null
}

export interface LineFault {
  /** What is wrong, ending in what Nix does about it. */
  readonly message: string
  /** True where Nix rejects the whole list for it. */
  readonly stopsBuilds: boolean
}

/** What Nix does when the hook rejects a list: it exits, and the build does not fall back (build-remote.cc). */
export const listConsequence =
  'every build on this machine fails until this line is mended'

/**
 * Reads one machine line with the defaults that Nix applies (machines.cc parseBuilderLine); `system` is the local one.
 * Never throws.
 */
export const parseMachine = (
  text: string,
  flavour: Flavour,
  system: string,
): MachineLine => {
  const columns = words(text)
  const field = (index: number): string | null => {
    const column = columns[index - 1]
    return column === undefined || column === '-' ? null : column
  }
  const written = field(1)
  if (written === null)
    return rejected(
      `the machine line ${quote(trim(text))} names no store in its first field`,
    )
  const uri = parseStoreUri(written, flavour)
  const maxJobs = parseJobs(field(4) ?? '1')
  const speedFactor = parseSpeed(field(5) ?? '1', flavour)
  if (maxJobs === null)
    return rejected(
      `the maximum of jobs ${quote(field(4) ?? '')} (field 4) is not a whole number from 0 to 4294967295`,
    )
  if (speedFactor === null)
    return rejected(
      `the speed factor ${quote(field(5) ?? '')} (field 5) is not ${flavour.fractionalSpeed ? 'a number of 0 or more' : 'a whole number, and this Nix knows no fractions'}`,
    )
  if (flavour.checksHostKey && !isBase64(field(8) ?? ''))
    return rejected(`the host key ${quote(field(8) ?? '')} (field 8) is not base64`)
  if (uri.fault?.fatal) return rejected(`${quote(uri.text)} ${uri.fault.message}`)
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
      line: ready(text),
    },
    fault: uri.fault
      ? unused(`${quote(uri.text)} ${uri.fault.message}`)
      : written.startsWith('@')
        ? takenForDirectory(written)
        : field(3) && flavour.absoluteKeys && !field(3)?.startsWith('/')
          ? unused(
              `the ssh key ${quote(field(3) ?? '')} (field 3) is not an absolute path`,
            )
          : null,
  }
}

const rejected = (what: string): MachineLine => ({
  machine: null,
  fault: { message: `${what}: ${listConsequence}`, stopsBuilds: true },
})

const unused = (what: string): LineFault => ({
  message: `${what}: Nix cannot open this store, so no build ever goes there`,
  stopsBuilds: false,
})

const takenForDirectory = (written: string): LineFault => ({
  message: `${quote(written)} has blanks before its @: Nix does not read that file but takes the text for a local directory and builds there`,
  stopsBuilds: false,
})

/** An unsigned 32-bit number as C++ reads it. */
const parseJobs = (text: string): number | null => {
  const value = /^\+?\d{1,40}$/.test(text) ? Number(text) : null
  return value !== null && value < 2 ** 32 ? value : null
}

/** Whole up to 2.19, then a 32-bit float as C++ reads it. Nix turns 0 into 1. */
const parseSpeed = (text: string, flavour: Flavour): number | null => {
  const value = flavour.fractionalSpeed ? parseFloat32(text) : parseJobs(text)
  return value === null || value < 0 ? null : Math.fround(value) === 0 ? 1 : value
}

const parseFloat32 = (text: string): number | null => {
  if (/^[+-]?inf(?:inity)?$/i.test(text))
    return text.startsWith('-') ? -Infinity : Infinity
  if (/^[+-]?nan(?:\(.*\))?$/i.test(text)) return NaN
  if (!/^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i.test(text)) return null
  const value = Number(text)
  return Number.isFinite(Math.fround(value)) ? value : null
}

/** What Nix takes for base64: it reads up to the first `=` (hash.cc base64Decode). */
const isBase64 = (text: string): boolean =>
  /^[A-Za-z0-9+/]*$/.test(text.split('=', 1)[0] ?? '')

/** The line for `--builders`: a blank stays before an `@` that is no include here, or it would become one. */
const ready = (text: string): string => {
  const line = trim(text)
  return line.startsWith('@') ? ` ${line}` : line
}
