import { truncateEvidence } from '../text/truncate.ts'
import {
  noTrace,
  type AttemptTrace,
  type BuilderTraces,
  type Clock,
  type ProbeName,
  type ProbeTraces,
  type Result,
  type Trace,
} from '../model/index.ts'
import { redactSecrets } from '../text/redact.ts'

/** The trace of one attempt in progress. */
export interface Recording {
  readonly trace: Trace
  /** Stops recording and returns the lines. */
  end(): string
}

/** Traces of the newest attempt and the newest failed one, per probe and builder. */
export interface Traces {
  start(): Recording
  /** Stores the trace of an attempt, which may have several results. */
  save(builder: string, results: readonly Result[], recording: Recording): void
  read(builder: string): BuilderTraces
  /** Deletes the traces of all other builders. */
  retain(names: ReadonlySet<string>): void
}

/** Records nothing. */
export const noTraces: Traces = {
  start: () => ({ trace: noTrace, end: () => '' }),
  save: () => undefined,
  read: () => ({}),
  retain: () => undefined,
}

export interface TracesDeps {
  readonly clock: Clock
  /** Limit per attempt. Longer traces lose their middle. */
  readonly maxChars: number
}

export const createTraces = (deps: TracesDeps): Traces => {
  const builders = new Map<string, BuilderTraces>()
  return {
    start: () => startRecording(deps),
    save: (builder, results, recording) => {
      const lines = recording.end()
      const known: Partial<Record<ProbeName, ProbeTraces>> = { ...builders.get(builder) }
      for (const { probe, outcome, at } of results) {
        const kind = 'kind' in outcome ? outcome.kind : null
        const last: AttemptTrace = { at, status: outcome.status, kind, lines }
        const lastFailed =
          outcome.status === 'failed' ? last : (known[probe]?.lastFailed ?? null)
        known[probe] = { last, lastFailed }
      }
      builders.set(builder, known)
    },
    read: builder => builders.get(builder) ?? {},
    retain: names => {
      for (const name of [...builders.keys()]) if (!names.has(name)) builders.delete(name)
    },
  }
}

const startRecording = ({ clock, maxChars }: TracesDeps): Recording => {
  const started = clock.monotonic()
  const head: string[] = []
  const tail: string[] = []
  let headChars = 0
  let tailChars = 0
  let omitted = 0
  let isEnded = false
  const add = (entry: string) => {
    if (omitted === 0 && tail.length === 0 && headChars + entry.length <= maxChars / 2) {
      head.push(entry)
      headChars += entry.length + 1
      return
    }
    tail.push(entry)
    tailChars += entry.length + 1
    while (tailChars > maxChars / 2 && tail.length > 1) {
      tailChars -= tail.shift()!.length + 1
      omitted++
    }
  }
  return {
    trace: (step, detail = '') => {
      if (isEnded) return
      const ms = Math.round(clock.monotonic() - started)
      const text = redactSecrets(truncateEvidence(detail, Math.floor(maxChars / 4)))
      const [first = '', ...rest] = text.split('\n')
      const more = rest.map(line => `\n         ${line}`).join('')
      add(`${`+${ms} ms`.padStart(9)} ${step}${first ? `: ${first}` : ''}${more}`)
    },
    end: () => {
      isEnded = true
      const gap = omitted > 0 ? [`          [... ${omitted} steps omitted ...]`] : []
      // A copy: a slice would keep the whole response in memory
      return Buffer.from([...head, ...gap, ...tail].join('\n')).toString()
    },
  }
}
