import { mainLock, parseSlotFile } from '../../nix/machines/lock-names.ts'

/**
 * The messages between the monitor and the slot holder: one JSON object a line, over a unix socket. Each request names the
 * complete set of slots to hold and renews the lease; the holder answers each, and reports changes unasked.
 */
export interface HoldRequest {
  /** Process ID of the monitor. */
  readonly pid: number
  /** Nix's directory `current-load` as the monitor knows it. */
  readonly directory: string
  /** File names of slot locks in that directory. */
  readonly hold: readonly string[]
  /** Endpoints (`ADDRESS port N`) to which an ssh of a build hook is ended while it hangs in its connect. */
  readonly abort: readonly string[]
}

/** What the holder holds. */
export interface HoldStatus {
  readonly held: readonly string[]
  /** Slots that a build uses; they are held as soon as it ends. */
  readonly waiting: readonly string[]
  /** Slots that cannot be held, with the reason. */
  readonly refused: Readonly<Record<string, string>>
}

export type HoldReply = HoldStatus | { readonly error: string }

/** The holder releases everything after this time without a request, milliseconds. */
export const leaseMs = 20_000
/** The monitor sends a request this often, milliseconds. */
export const renewMs = 5000
/** Longer lines end the connection, characters. */
export const maxLineChars = 4 * 1024 * 1024
export const maxSlots = 20_000
const maxEndpoints = 2000
/** NAME_MAX of Linux filesystems, bytes. */
const maxNameBytes = 255

/** Returns whether a name has the form of a slot lock: a file of the directory itself, not Nix's own main lock. */
export const isSlotName = (name: string): boolean =>
  parseSlotFile(name) !== null &&
  name !== mainLock &&
  !name.startsWith('.') &&
  !/[/\0\n]/.test(name) &&
  Buffer.byteLength(name) <= maxNameBytes

/** Parses a request. Returns a text that says what is wrong with it. */
export const parseHoldRequest = (line: string): HoldRequest | string => {
  let message: unknown
  try {
    message = JSON.parse(line)
  } catch {
    return 'the request is not JSON'
  }
  if (typeof message !== 'object' || message === null)
    return 'the request is not an object'
  const { pid, directory, hold, abort } = message as Readonly<Record<string, unknown>>
  if (typeof pid !== 'number' || !Number.isSafeInteger(pid) || pid < 1)
    return 'pid is not a process ID'
  if (typeof directory !== 'string' || !directory.startsWith('/'))
    return 'directory is not an absolute path'
  if (!Array.isArray(hold)) return 'hold is not a list'
  if (hold.length > maxSlots) return `hold has more than ${maxSlots} names`
  const names: string[] = []
  for (const name of hold as unknown[]) {
    if (typeof name !== 'string' || !isSlotName(name))
      return `${JSON.stringify(name)?.slice(0, 100)} is not the name of a slot lock`
    names.push(name)
  }
  if (!isTexts(abort) || abort.length > maxEndpoints)
    return 'abort is not a list of endpoints'
  const endpoint = abort.find(text => !/^[0-9a-fA-F.:]{2,45} port \d{1,5}$/.test(text))
  if (endpoint !== undefined)
    return `${JSON.stringify(endpoint).slice(0, 100)} is not an endpoint`
  return { pid, directory, hold: names, abort }
}

/** Parses a reply; null if it is none. */
export const parseHoldReply = (line: string): HoldReply | null => {
  let message: unknown
  try {
    message = JSON.parse(line)
  } catch {
    return null
  }
  if (typeof message !== 'object' || message === null) return null
  const { error, held, waiting, refused } = message as Readonly<Record<string, unknown>>
  if (typeof error === 'string') return { error }
  if (!isTexts(held) || !isTexts(waiting)) return null
  if (typeof refused !== 'object' || refused === null) return null
  if (!isTexts(Object.values(refused))) return null
  return { held, waiting, refused: refused as Readonly<Record<string, string>> }
}

const isTexts = (value: unknown): value is readonly string[] =>
  Array.isArray(value) && value.every(item => typeof item === 'string')
