import { createReport } from '../diagnosis/report.ts'
import type { BuilderState, Run, Snapshot, View } from '../model/index.ts'
import type { Exporter } from './exporter.ts'
import { createHeadline, formatHeadline } from '../diagnosis/headline.ts'

export interface SystemdOptions {
  readonly run: Run
  /** systemd sets NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID (sd_notify(3), sd_watchdog_enabled(3)). */
  readonly env: Readonly<Record<string, string | undefined>>
  readonly pid: number
  /** Returns for how many seconds logins have made no progress. */
  readonly loginLagSeconds: () => number
}

/** `systemctl status` truncates longer lines. */
const statusLength = 200
/** Minimum time between status changes. */
const paceMs = 1000
/** The status says for how long, so it is refreshed also when nothing changed. */
const refreshMs = 60_000

/**
 * Notifies systemd about readiness, reloads, stop, the headline as status, and the watchdog. Node.js cannot send
 * datagrams to a unix socket, so systemd-notify does; the unit needs NotifyAccess=all. Null without NOTIFY_SOCKET.
 */
export const createSystemdExporter = (options: SystemdOptions): Exporter | null => {
  const { env } = options
  if (!env['NOTIFY_SOCKET']) return null
  return {
    name: 'systemd',
    start: view => watch(view, createNotify(options), watchdogMs(options), options),
  }
}

/** Sets the status of the unit when the daemon fails to start. */
export const notifyStatus = async (
  text: string,
  { run, env }: Pick<SystemdOptions, 'run' | 'env'>,
): Promise<void> => {
  if (env['NOTIFY_SOCKET']) await notifyOnce({ run, env }, [`STATUS=${oneLine(text)}`])
}

/** Sends assignments of sd_notify(3). */
export type Notify = (...assignments: readonly string[]) => void

const notifyOnce = (
  { run, env }: Pick<SystemdOptions, 'run' | 'env'>,
  args: readonly string[],
) =>
  run({
    file: 'systemd-notify',
    args,
    env,
    signal: AbortSignal.timeout(5000),
    maxBytes: 4096,
  })

/** Sends notifications one at a time, in order. Failures are ignored: systemd has its own timeouts. */
export const createNotify = ({
  run,
  env,
}: Pick<SystemdOptions, 'run' | 'env'>): Notify => {
  let last: Promise<unknown> = Promise.resolve()
  return (...assignments) => {
    last = last.then(() => notifyOnce({ run, env }, assignments))
  }
}

/** Returns the watchdog interval in milliseconds: WatchdogSec / 4. Null when systemd requests no watchdog. */
export const watchdogMs = ({
  env,
  pid,
}: Pick<SystemdOptions, 'env' | 'pid'>): number | null => {
  const watchdogUsec = Number(env['WATCHDOG_USEC'])
  const forUs = !env['WATCHDOG_PID'] || env['WATCHDOG_PID'] === String(pid)
  return forUs && watchdogUsec > 0 ? watchdogUsec / 4000 : null
}

const watch = (
  view: View,
  notify: Notify,
  everyMs: number | null,
  { loginLagSeconds }: SystemdOptions,
): (() => void) => {
  let lastStatus = ''
  let isReloading = false
  const notifyChanges = () => {
    const snapshot = view.read()
    const status = formatStatus(snapshot)
    if (isReloadInProgress(snapshot) !== isReloading) {
      isReloading = isReloadInProgress(snapshot)
      notify(isReloading ? 'RELOADING=1' : 'READY=1')
    }
    if (status !== lastStatus) notify(`STATUS=${(lastStatus = status)}`)
  }
  notify('READY=1', `STATUS=${(lastStatus = formatStatus(view.read()))}`)
  let timer: NodeJS.Timeout | undefined
  let isDue = false
  const notifyIn = (delayMs: number) => {
    clearTimeout(timer)
    isDue = delayMs === paceMs
    timer = setTimeout(() => {
      notifyIn(refreshMs)
      notifyChanges()
    }, delayMs)
  }
  notifyIn(refreshMs)
  let previous = view.read()
  const end = view.subscribe((snapshot, change) => {
    const before = previous
    previous = snapshot
    if (isReloadInProgress(snapshot) !== isReloading) return notifyChanges()
    // The status summarizes all builders, which is too much work for each result
    const isChanged =
      snapshot.problems !== before.problems ||
      snapshot.monitor.ready !== before.monitor.ready ||
      snapshot.monitor.lastReloadOk !== before.monitor.lastReloadOk ||
      [...change.builders].some(
        name =>
          subjectOf(snapshot.builders.get(name)) !== subjectOf(before.builders.get(name)),
      )
    if (isChanged && !isDue) notifyIn(paceMs)
  })
  const watchdog =
    everyMs === null
      ? null
      : setInterval(() => {
          if (isProbing(view.read(), loginLagSeconds())) notify('WATCHDOG=1')
        }, everyMs)
  return () => {
    end()
    clearTimeout(timer)
    if (watchdog) clearInterval(watchdog)
    notify('STOPPING=1', 'STATUS=Stopping.')
  }
}

/** Longer than a login with all its deadlines. */
const minLagSeconds = 300

/**
 * Whether logins still happen: none is overdue for three intervals (at least five minutes). Other activity says nothing:
 * slots are read and alerts evaluated also by a monitor that has not logged in for days. True when there is no builder to
 * probe.
 */
export const isProbing = (
  { builders, monitor }: Snapshot,
  loginLagSeconds: number,
): boolean =>
  [...builders.values()].every(({ health }) => health.state === 'drained') ||
  loginLagSeconds < Math.max(3 * monitor.intervals.login, minLagSeconds)

/** Returns what the status says about a builder, for comparison. */
const subjectOf = (state: BuilderState | undefined): string => {
  if (!state) return ''
  const { health, hold, quarantine, probes } = state
  const { state: is, since, cause } = health
  return JSON.stringify([is, since, cause?.kind, hold, quarantine?.since, !probes.login])
}

const isReloadInProgress = ({ monitor }: Snapshot): boolean => monitor.reloading === true

const formatStatus = (snapshot: Snapshot): string => {
  const text = formatHeadline(
    createHeadline(createReport(snapshot), snapshot.monitor.ready),
    snapshot.at,
  )
  return oneLine(
    snapshot.monitor.lastReloadOk
      ? text
      : `Reload failed, the previous configuration stays active. ${text}`,
  )
}

const oneLine = (text: string): string =>
  text.replaceAll(/\s+/g, ' ').slice(0, statusLength)
