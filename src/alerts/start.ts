import { createEvaluator, type AlertsDeps } from './evaluate.ts'

/** Evaluating all rules for 200 builders takes 12 to 20 ms on a slow core. */
const everyMs = 5000

/** Evaluates at once and every five seconds, until the returned function is called. */
export const startAlerts = (deps: AlertsDeps): (() => void) => {
  const stopping = new AbortController()
  const evaluate = createEvaluator(deps)
  void (async () => {
    while (!stopping.signal.aborted) {
      try {
        evaluate()
      } catch (error) {
        deps.log.error({ err: error }, 'alert evaluation failed')
      }
      await deps.clock.sleep(everyMs, stopping.signal).catch(() => undefined)
    }
  })()
  return () => stopping.abort(new Error('builder-monitor is stopping'))
}
