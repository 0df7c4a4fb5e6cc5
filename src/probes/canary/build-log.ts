import type { CanaryRun, Kind } from '../../model/index.ts'
import { activities, parseNixEvent, type NixEvent } from '../../nix/internal-json.ts'

/** Parses the log of one nix-build: the machine, the duration of each phase, locks it waits for, messages. */
export interface BuildLogParser {
  line(line: string): void
  /** Ignores all later lines: a terminating nix-build reports the end of everything it waits for. */
  readonly freeze: () => void
  summary(): {
    /** The machine that Nix reports; the nested start event of the remote has none. */
    readonly machine: string | null
    readonly phases: CanaryRun['phases']
    /** Whether Nix has begun to connect to a builder. */
    readonly wasAsked: boolean
    /** Messages, log lines and ssh's output in order, limited in size. */
    readonly text: string
    /** What a build waits for, if that is not an error of the builder. */
    readonly waitingFor: Kind | null
    /** The present stage, for messages: `while connecting`. */
    readonly stage: string
  }
}

const maxText = 64 * 1024

const stages = {
  start: 'before connecting',
  connect: 'while connecting',
  upload: 'while copying inputs',
  build: 'while building',
  download: 'while copying the output back',
} as const

/** `now` returns seconds since the start of the build. */
export const createBuildLogParser = (now: () => number): BuildLogParser => {
  let machine: string | null = null
  let text = ''
  let waitingFor: Kind | null = null
  let stage: keyof typeof stages = 'start'
  const times: Partial<
    Record<'connect' | 'accepted' | 'uploaded' | 'built' | 'done', number>
  > = {}
  const copies = new Map<string, 'upload' | 'download'>()
  /** Waiting activities by id; Nix announces the upload lock even if it is free. */
  const waitingActivities = new Map<string, Kind>()
  const appendText = (line: string) => {
    if (line && text.length < maxText) text += `${line}\n`
  }

  const start = (event: Extract<NixEvent, { type: 'start' }>) => {
    if (event.activity === activities.build && event.fields[1]) {
      machine = event.fields[1]
      times.accepted ??= now()
      stage = 'upload'
    }
    if (event.text.startsWith("connecting to '")) {
      times.connect ??= now()
      stage = 'connect'
    }
    if (event.text.startsWith('copying dependencies to')) copies.set(event.id, 'upload')
    if (event.text.startsWith('copying outputs from')) {
      copies.set(event.id, 'download')
      times.built ??= now()
      stage = 'download'
    }
    const kind = parseWaiting(event.text)
    if (kind) waitingActivities.set(event.id, kind)
    // A new activity starts: an announced wait is over
    else waitingFor = null
  }
  const stop = (id: string) => {
    waitingActivities.delete(id)
    const direction = copies.get(id)
    if (direction === 'upload') {
      times.uploaded ??= now()
      stage = 'build'
    }
    if (direction === 'download') times.done ??= now()
  }
  let isFrozen = false
  return {
    freeze: () => {
      isFrozen = true
    },
    line: line => {
      if (isFrozen) return
      const event = parseNixEvent(line)
      if (!event) return
      if (event.type === 'start') start(event)
      else if (event.type === 'stop') stop(event.id)
      else {
        waitingFor = parseWaiting(event.text) ?? waitingFor
        if (event.type !== 'message' || event.level <= 1) appendText(event.text)
      }
    },
    summary: () => {
      const span = (from: number | undefined, to: number | undefined) =>
        from !== undefined && to !== undefined ? Math.max(0, to - from) : undefined
      const phases = {
        connect: span(times.connect, times.accepted),
        copy: span(times.accepted, times.uploaded),
        build: span(times.uploaded, times.built),
        copy_back: span(times.built, times.done),
      }
      const known = Object.entries(phases).filter(entry => entry[1] !== undefined)
      return {
        machine,
        wasAsked: times.connect !== undefined || times.accepted !== undefined,
        text,
        waitingFor: [...waitingActivities.values()].at(-1) ?? waitingFor,
        stage: stages[stage],
        phases: Object.fromEntries(known),
      }
    },
  }
}

const parseWaiting = (text: string): Kind | null => {
  if (/^waiting for the upload lock/.test(text)) return 'upload_lock'
  if (
    /waiting for a machine to build|waiting for a free build user ID|waiting for UID/.test(
      text,
    )
  )
    return 'slots_full'
  if (/waiting for the big garbage collector lock|running auto-GC/.test(text))
    return 'gc_wait'
  return null
}
