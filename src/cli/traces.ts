import type { ProbeReport, Report } from '../diagnosis/report.ts'
import { probeNames, type ProbeName } from '../model/index.ts'
import type { Traces } from '../state/traces.ts'

/** Adds the trace of each attempt to the report. Probes that did not run have none. */
export const withTraces = (report: Report, traces: Traces): Report => ({
  ...report,
  builders: report.builders.map(builder => {
    const builderTraces = traces.read(builder.name)
    const probes: Partial<Record<ProbeName, ProbeReport>> = {}
    for (const name of probeNames) {
      const probe = builder.probes[name]
      const lines = builderTraces[name]?.last.lines
      if (probe) probes[name] = lines ? { ...probe, trace: lines.split('\n') } : probe
    }
    return { ...builder, probes }
  }),
})
