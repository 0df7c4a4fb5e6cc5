import type { Clock, Outcome, ProbeName, Result, Params } from '../model/index.ts'
import { tempTrouble } from '../diagnosis/local-trouble.ts'
import { truncateEvidence, oneLine } from '../text/truncate.ts'

export interface Attempt<T> {
  readonly probe: ProbeName
  readonly timeoutMs: number
  /** Parameters of the builder. Those of the outcome take precedence. */
  readonly params: Params
  readonly clock: Clock
  /** Ends the attempt early, when the monitor stops. */
  readonly signal: AbortSignal
  readonly run: (signal: AbortSignal) => Promise<Outcome<T>>
}

/** One for all, because creating an error costs more than the rest of an attempt. */
const attemptIsOver = new Error('the attempt is over')

/** How long a probe may continue after its deadline. */
const graceMs = 5000

/**
 * Runs one probe with a deadline and measures its duration. An exception becomes the kind `internal`, or `skipped` when
 * this machine lacks a temporary directory, space or descriptors. Never rejects,
 * and resolves even when the probe ignores its deadline.
 */
export const attempt = async <T>({
  probe,
  timeoutMs,
  params,
  clock,
  signal,
  run,
}: Attempt<T>): Promise<Result<T>> => {
  const started = clock.monotonic()
  const deadline = new AbortController()
  const end = () => deadline.abort(signal.reason ?? new Error('the monitor stops'))
  const timer = setTimeout(
    () => deadline.abort(new Error(`no answer within ${timeoutMs / 1000} s`)),
    timeoutMs,
  )
  let stuck: NodeJS.Timeout | undefined
  signal.addEventListener('abort', end, { once: true })
  if (signal.aborted) end()
  let outcome: Outcome<T>
  try {
    const late = new Promise<never>((_, reject) => {
      stuck = setTimeout(
        () => reject(new Error(`the ${probe} probe did not obey its deadline`)),
        timeoutMs + graceMs,
      )
    })
    outcome = await Promise.race([run(deadline.signal), late])
  } catch (error) {
    outcome = tempTrouble(error) ?? internal(error)
  } finally {
    clearTimeout(timer)
    clearTimeout(stuck)
    signal.removeEventListener('abort', end)
    // Ends whatever the probe left running
    deadline.abort(attemptIsOver)
  }
  const durationSeconds = (clock.monotonic() - started) / 1000
  return {
    probe,
    outcome: withParams(outcome, params),
    at: clock.now() / 1000,
    durationSeconds,
  }
}

const internal = (error: unknown): Outcome<never> => ({
  status: 'failed',
  kind: 'internal',
  params: { detail: oneLine(error instanceof Error ? error.message : String(error)) },
  evidence: truncateEvidence(
    error instanceof Error ? (error.stack ?? error.message) : String(error),
  ),
})

/** Adds the parameters of the builder to those of an outcome. */
export const withParams = <T>(outcome: Outcome<T>, params: Params): Outcome<T> =>
  outcome.status === 'ok'
    ? outcome
    : { ...outcome, params: { ...params, ...outcome.params } }
