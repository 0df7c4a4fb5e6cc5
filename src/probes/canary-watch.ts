import type { Kind } from '../diagnosis/kinds.ts'
import type { CanaryRun } from '../model.ts'
import { activities, parseNixEvent, type NixEvent } from '../nix/internal-json.ts'

/** Follows one nix-build by its log: who builds, how long each phase takes, what it waits for, what it says. */
export interface BuildWatch {
  line(line: string): void
  /** From now on nothing counts: a nix-build that is being ended closes all that it waited for. */
  readonly freeze: () => void
  seen(): {
    /** The machine that Nix says it builds on; the remote's own nested start names none. */
    readonly machine: string | null
    readonly phases: CanaryRun['phases']
    /** Messages, log lines and ssh's words in order, capped. */
    readonly text: string
    /** What a build that does not go on waits for, if that is nobody's fault. */
    readonly waitsFor: Kind | null
    /** Where it stands now, for a sentence: `while connecting`. */
    readonly stage: string
  }
}

const maxText = 64 * 1024

const stages = {
  start: 'before it connects',
  connect: 'while connecting',
  upload: 'while copying inputs',
  build: 'while building',
  download: 'while copying the output back',
} as const

/** `now` gives seconds since the build was started. */
export const createBuildWatch = (now: () => number): BuildWatch => {
  let machine: string | null = null
  let text = ''
  let waitsFor: Kind | null = null
  let stage: keyof typeof stages = 'start'
  const at: Partial<
    Record<'connect' | 'accepted' | 'uploaded' | 'built' | 'done', number>
  > = {}
  const open = new Map<string, 'upload' | 'download'>()
  /** Activities that wait; Nix announces the upload lock even where it is free. */
  const waits = new Map<string, Kind>()
  const say = (line: string) => {
    if (line && text.length < maxText) text += `${line}\n`
  }

  const start = (event: Extract<NixEvent, { type: 'start' }>) => {
    if (event.activity === activities.build && event.fields[1]) {
      machine = event.fields[1]
      at.accepted ??= now()
      stage = 'upload'
    }
    if (event.text.startsWith("connecting to '")) {
      at.connect ??= now()
      stage = 'connect'
    }
    if (event.text.startsWith('copying dependencies to')) open.set(event.id, 'upload')
    if (event.text.startsWith('copying outputs from')) {
      open.set(event.id, 'download')
      at.built ??= now()
      stage = 'download'
    }
    const what = waiting(event.text)
    if (what) waits.set(event.id, what)
    // Something begins: what was announced in passing is over
    else waitsFor = null
  }
  const stop = (id: string) => {
    waits.delete(id)
    const what = open.get(id)
    if (what === 'upload') {
      at.uploaded ??= now()
      stage = 'build'
    }
    if (what === 'download') at.done ??= now()
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
        waitsFor = waiting(event.text) ?? waitsFor
        if (event.type !== 'message' || event.level <= 1) say(event.text)
      }
    },
    seen: () => {
      const span = (from: number | undefined, to: number | undefined) =>
        from !== undefined && to !== undefined ? Math.max(0, to - from) : undefined
      const phases = {
        connect: span(at.connect, at.accepted),
        copy: span(at.accepted, at.uploaded),
        build: span(at.uploaded, at.built),
        copy_back: span(at.built, at.done),
      }
      const known = Object.entries(phases).filter(entry => entry[1] !== undefined)
      return {
        machine,
        text,
        waitsFor: [...waits.values()].at(-1) ?? waitsFor,
        stage: stages[stage],
        phases: Object.fromEntries(known),
      }
    },
  }
}

const waiting = (text: string): Kind | null => {
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
