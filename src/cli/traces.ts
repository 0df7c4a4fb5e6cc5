import type { ProbeReport, Report } from '../diagnosis/report.ts'
import { probeNames, type ProbeName } from '../model/index.ts'
import type { Traces } from '../state/traces.ts'

/** The report with what was noted of each attempt; rungs that were not tried have nothing. */
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
