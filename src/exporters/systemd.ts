import { createReport } from '../diagnosis/report.ts'
import type { Run, Snapshot, View } from '../model/index.ts'
import type { Exporter } from './exporter.ts'
import { byUrgency, createHeadline, formatHeadline } from './page/format.ts'

export interface SystemdOptions {
  readonly run: Run
  /** NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID are systemd's (sd_notify(3), sd_watchdog_enabled(3)). */
  readonly env: Readonly<Record<string, string | undefined>>
  readonly pid: number
  /** Milliseconds, from any beginning, that do not jump. */
  readonly monotonic: () => number
}

/** `systemctl status` cuts lines; longer ones only fill the journal. */
const statusLength = 200
/** A status changes at most this often. */
const paceMs = 1000

/**
 * Tells systemd that we are ready, reload, stop, what the headline says, and that probing goes on. Node cannot send
 * datagrams to a unix socket, so systemd's own systemd-notify does it: the unit needs NotifyAccess=all. Null where
 * systemd does not listen.
 */
export const createSystemdExporter = (options: SystemdOptions): Exporter | null => {
  const { env } = options
  if (!env['NOTIFY_SOCKET']) return null
  return {
    name: 'systemd',
    start: view => watch(view, createNotify(options), watchdogMs(options), options),
  }
}

/** Tells why there will be no daemon, as the last status of the unit. Resolves when systemd has it, or nobody listens. */
export const notifyStatus = async (
  text: string,
  { run, env }: Pick<SystemdOptions, 'run' | 'env'>,
): Promise<void> => {
  if (env['NOTIFY_SOCKET']) await notifyOnce({ run, env }, [`STATUS=${oneLine(text)}`])
}

type Notify = (...assignments: readonly string[]) => void

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

/** One at a time and in order. A message that is lost is not worth a word: systemd's own timeouts tell. */
const createNotify = ({ run, env }: SystemdOptions): Notify => {
  let last: Promise<unknown> = Promise.resolve()
  return (...assignments) => {
    last = last.then(() => notifyOnce({ run, env }, assignments))
  }
}

/** A quarter of systemd's patience, so that one that is late does no harm; null where it does not ask for signs of life. */
const watchdogMs = ({ env, pid }: SystemdOptions): number | null => {
  const watchdogUsec = Number(env['WATCHDOG_USEC'])
  const forUs = !env['WATCHDOG_PID'] || env['WATCHDOG_PID'] === String(pid)
  return forUs && watchdogUsec > 0 ? watchdogUsec / 4000 : null
}

const watch = (
  view: View,
  notify: Notify,
  everyMs: number | null,
  { monotonic }: SystemdOptions,
): (() => void) => {
  let lastStatus = ''
  let isReloading = false
  let changedMs = monotonic()
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
  let due: NodeJS.Timeout | null = null
  const end = view.subscribe(snapshot => {
    changedMs = monotonic()
    if (isReloadInProgress(snapshot) !== isReloading) return notifyChanges()
    due ??= setTimeout(() => {
      due = null
      notifyChanges()
    }, paceMs)
  })
  const watchdog =
    everyMs === null
      ? null
      : setInterval(() => {
          if (isProbing(view.read(), monotonic() - changedMs)) notify('WATCHDOG=1')
        }, everyMs)
  return () => {
    end()
    if (due) clearTimeout(due)
    if (watchdog) clearInterval(watchdog)
    notify('STOPPING=1', 'STATUS=Stopping.')
  }
}

/**
 * Is the work that matters still done? Each round of probes makes a new snapshot; a daemon that only answers scrapes is
 * of no use. Nobody to look at is no reason to be killed.
 */
export const isProbing = (
  { builders, monitor }: Snapshot,
  unchangedMs: number,
): boolean =>
  [...builders.values()].every(({ health }) => health.state === 'drained') ||
  unchangedMs < Math.max(3 * Math.min(...Object.values(monitor.intervals)), 60) * 1000

const isReloadInProgress = ({ monitor }: Snapshot): boolean => monitor.reloading === true

const formatStatus = (snapshot: Snapshot): string => {
  const { builders, sharedCauses } = createReport(snapshot)
  const text = formatHeadline(
    createHeadline(
      { builders: builders.toSorted(byUrgency), sharedCauses },
      snapshot.monitor.ready,
    ),
    snapshot.at,
  )
  return oneLine(
    snapshot.monitor.lastReloadOk
      ? text
      : `Reload failed, the old configuration stays. ${text}`,
  )
}

const oneLine = (text: string): string =>
  text.replaceAll(/\s+/g, ' ').slice(0, statusLength)
