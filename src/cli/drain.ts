import { userInfo } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { isKeptAway } from '../diagnosis/out-of-service.ts'
import type { BuilderReport, Report } from '../diagnosis/report.ts'
import { maxDrainReason } from '../model/index.ts'
import { formatDuration } from '../text/duration.ts'
import { parseDuration } from '../text/parse-duration.ts'
import { requestDaemon, resolveControlSocket } from './control-socket.ts'
import { UsageError, type Io } from './terminal.ts'

interface Named {
  readonly socket: string | undefined
  readonly builders: readonly string[]
}

interface DrainOptions extends Named {
  readonly for: string | undefined
  readonly reason: string | undefined
  readonly wait: boolean
}

const timeoutMs = 5000
/** Of a request that the daemon can refuse, characters. */
const maxPath = 12_000
const pollMs = 500

/** Drains builders. Returns 1 when builds are not kept away from them. */
export const drainCommand = async (options: DrainOptions, io: Io): Promise<number> => {
  const socket = resolveControlSocket(options.socket, io)
  const seconds = options.for === undefined ? null : parseDuration(options.for)
  if (options.for !== undefined && seconds === null)
    throw new UsageError(
      `--for ${options.for} is not a duration up to a year: write 90s, 30m, 2h or 7d`,
    )
  const { names, warning } = await post(socket, 'drain', {
    name: options.builders,
    by: [userName(io)],
    reason: options.reason === undefined ? [] : [options.reason.slice(0, maxDrainReason)],
    until: seconds === null ? [] : [String(Date.now() / 1000 + seconds)],
  })
  const end = seconds === null ? '' : ` for ${formatDuration(seconds)}`
  io.out(`drained${end}: ${names.join(', ')}\n`)
  const failure = warning ?? (await reportHolds(socket, names, options.wait, io))
  if (failure === null) return 0
  io.err(`builder-monitor: ${failure}\n`)
  return 1
}

/** Ends drains. */
export const undrainCommand = async (options: Named, io: Io): Promise<number> => {
  const socket = resolveControlSocket(options.socket, io)
  const { names } = await post(socket, 'undrain', { name: options.builders })
  io.out(`drain ended: ${names.join(', ')}\n`)
  return 0
}

const post = async (
  socket: string,
  action: 'drain' | 'undrain',
  parameters: Readonly<Record<string, readonly string[]>>,
): Promise<{ readonly names: readonly string[]; readonly warning: string | null }> => {
  const query = new URLSearchParams()
  for (const [key, values] of Object.entries(parameters))
    for (const value of new Set(values)) query.append(key, value)
  const tooMany = new UsageError(
    'too many builders at once, or the reason is too long; nothing was changed',
  )
  const path = `/-/${action}?${query.toString()}`
  // The daemon closes the connection without an answer
  if (path.length > maxPath) throw tooMany
  const { status, body } = await requestDaemon(socket, 'POST', path, timeoutMs)
  if (status === 414 || status === 431) throw tooMany
  if (status !== 200) throw new UsageError(body.trim())
  return JSON.parse(body) as { names: readonly string[]; warning: string | null }
}

/** The user behind sudo, for those who wonder who drained a builder. */
const userName = ({ env }: Io): string => {
  const behindSudo = env['SUDO_USER']
  if (behindSudo) return behindSudo
  try {
    return userInfo().username
  } catch {
    return `user ${process.getuid?.() ?? 'unknown'}`
  }
}

/**
 * Prints which builds still run there until the slots are held; with `waits` until no build runs. Returns why builds are not
 * kept away, or null.
 */
const reportHolds = async (
  socket: string,
  names: readonly string[],
  waits: boolean,
  io: Io,
): Promise<string | null> => {
  // The holder is started by the first connection
  const settledBy = Date.now() + timeoutMs
  let reported = ''
  for (;;) {
    const { body } = await requestDaemon(socket, 'GET', '/api/v1/builders', timeoutMs)
    const report = JSON.parse(body) as Report
    const drained = report.builders.filter(({ name }) => names.includes(name))
    if (report.quarantine?.unavailable)
      return `builds are not kept away: ${report.quarantine.unavailable}`
    const problem = drained.find(({ hold }) => hold?.problem)
    if (problem)
      return `builds are not kept away from ${problem.name}: ${problem.hold?.problem}`
    const isSettled = drained.every(isHeld)
    const running = drained.filter(({ hold }) => (hold?.running ?? 0) > 0)
    const line = running.length
      ? running
          .map(({ name, hold }) => `${name}: ${countBuilds(hold?.running ?? 0)}`)
          .join(', ')
      : isSettled
        ? 'no builds of this machine run there'
        : ''
    if (line !== reported && line) io.out(`${line}\n`)
    reported = line
    if (isSettled && (running.length === 0 || !waits)) return null
    if (drained.length === 0) return 'the builder is not in the list any more'
    if (!isSettled && Date.now() > settledBy) return 'the slots are not held yet'
    await delay(pollMs, undefined, { signal: io.signal })
  }
}

/** A line without slots gets no builds. */
const isHeld = ({ hold }: BuilderReport): boolean => hold?.total === 0 || isKeptAway(hold)

const countBuilds = (count: number): string =>
  `${count} ${count === 1 ? 'build' : 'builds'} of this machine ${count === 1 ? 'runs' : 'run'}`
