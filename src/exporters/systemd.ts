import { reportOf } from '../diagnosis/report.ts'
import type { Run, Snapshot, View } from '../model.ts'
import type { Exporter } from './exporter.ts'
import { byUrgency, headlineOf, sentenceOf } from './page/words.ts'

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
    start: view => follow(view, createNotify(options), watchdogMs(options), options),
  }
}

/** Tells why there will be no daemon, as the last status of the unit. Resolves when systemd has it, or nobody listens. */
export const tellStatus = async (
  sentence: string,
  { run, env }: Pick<SystemdOptions, 'run' | 'env'>,
): Promise<void> => {
  if (env['NOTIFY_SOCKET'])
    await notifyOnce({ run, env }, [`STATUS=${oneLine(sentence)}`])
}

type Notify = (...words: readonly string[]) => void

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
  return (...words) => {
    last = last.then(() => notifyOnce({ run, env }, words))
  }
}

/** A quarter of systemd's patience, so that one that is late does no harm; null where it does not ask for signs of life. */
const watchdogMs = ({ env, pid }: SystemdOptions): number | null => {
  const asked = Number(env['WATCHDOG_USEC'])
  const forUs = !env['WATCHDOG_PID'] || env['WATCHDOG_PID'] === String(pid)
  return forUs && asked > 0 ? asked / 4000 : null
}

const follow = (
  view: View,
  notify: Notify,
  everyMs: number | null,
  { monotonic }: SystemdOptions,
): (() => void) => {
  let told = ''
  let isReloading = false
  let changedMs = monotonic()
  const tell = () => {
    const snapshot = view.read()
    const status = statusOf(snapshot)
    if (reloads(snapshot) !== isReloading) {
      isReloading = reloads(snapshot)
      notify(isReloading ? 'RELOADING=1' : 'READY=1')
    }
    if (status !== told) notify(`STATUS=${(told = status)}`)
  }
  notify('READY=1', `STATUS=${(told = statusOf(view.read()))}`)
  let due: NodeJS.Timeout | null = null
  const end = view.subscribe(snapshot => {
    changedMs = monotonic()
    if (reloads(snapshot) !== isReloading) return tell()
    due ??= setTimeout(() => {
      due = null
      tell()
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
  [...builders.values()].every(({ verdict }) => verdict.state === 'drained') ||
  unchangedMs < Math.max(3 * Math.min(...Object.values(monitor.intervals)), 60) * 1000

const reloads = ({ monitor }: Snapshot): boolean => monitor.reloading === true

const statusOf = (snapshot: Snapshot): string => {
  const { builders, shared } = reportOf(snapshot)
  const text = sentenceOf(
    headlineOf(
      { builders: builders.toSorted(byUrgency), shared },
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
