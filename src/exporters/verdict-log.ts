import type { Log } from '../log.ts'
import type { BuilderState, Snapshot, View } from '../model.ts'
import type { Exporter } from './exporter.ts'

/** One line in the log for each change of a verdict. */
export const createVerdictLog = (log: Log): Exporter => ({
  name: 'verdict log',
  start: (view: View) => view.subscribe(logChanges(log)),
})

const logChanges = (log: Log) => {
  let before: ReadonlyMap<string, BuilderState> = new Map()
  return ({ builders }: Snapshot) => {
    for (const [name, { verdict }] of builders) {
      const old = before.get(name)?.verdict
      if (old?.state === verdict.state || (!old && verdict.state === 'unknown')) continue
      const fields = {
        builder: name,
        state: verdict.state,
        was: old?.state ?? 'unknown',
        ...(verdict.cause
          ? { kind: verdict.cause.kind, probe: verdict.cause.probe }
          : {}),
      }
      if (verdict.state === 'down') log.warn(fields, 'verdict changed')
      else log.info(fields, 'verdict changed')
    }
    before = builders
  }
}
