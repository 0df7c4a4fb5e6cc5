import { open, readFile, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Log } from '../log/log.ts'

/** What outlives a restart, in sections that belong to those who write them. One JSON file. */
export interface StateFile {
  /** The section as it was read at start, unchecked; undefined where there is none. */
  read(section: string): unknown
  /** Has the section written before long: within half a minute, or within two seconds if it is news. */
  write(section: string, value: () => unknown, isUrgent?: boolean): void
  /** Writes what is not written yet. Never rejects. */
  flush(): Promise<void>
  /** Tells at once, and at each change, whether the file could be read and written. */
  watch(listener: (isWorking: boolean) => void): void
}

export interface StateFileDeps {
  /** $STATE_DIRECTORY of systemd (systemd.exec(5)); it exists. */
  readonly directory: string
  readonly log: Log
}

const maxBytes = 64 * 1024 * 1024
const formatVersion = 1
const normalDelayMs = 30_000
const urgentDelayMs = 2000

/**
 * Opens the file. What cannot be read is kept beside it as `state.json.bad`, and a fresh one is begun: the monitor never
 * fails for its memory. Never rejects.
 */
export const openStateFile = async ({
  directory,
  log,
}: StateFileDeps): Promise<StateFile> => {
  const path = join(directory, 'state.json')
  let isWorking = true
  let listener: (isWorking: boolean) => void = () => undefined
  const setWorking = (now: boolean) => listener((isWorking = now))
  const sections = await load(path, log).catch(async (error: unknown) => {
    const kept = await rename(path, `${path}.bad`).then(
      () => `${path}.bad`,
      () => null,
    )
    log.warn(
      { path, kept, err: error },
      'the state file cannot be read: a fresh one is begun',
    )
    isWorking = false
    return new Map<string, unknown>()
  })
  const changed = new Map<string, () => unknown>()
  let timer: { readonly id: NodeJS.Timeout; readonly isUrgent: boolean } | null = null
  let writing: Promise<void> = Promise.resolve()

  const write = async (): Promise<void> => {
    if (changed.size === 0) return
    for (const [section, value] of changed) sections.set(section, value())
    changed.clear()
    try {
      await replace(
        path,
        JSON.stringify({
          version: formatVersion,
          sections: Object.fromEntries(sections),
        }),
      )
      if (!isWorking) log.info({ path }, 'the state file is written again')
      setWorking(true)
    } catch (error) {
      if (isWorking)
        log.warn(
          { path, err: error },
          'the state file cannot be written: since when builders are down is forgotten at a restart',
        )
      setWorking(false)
    }
  }
  const flush = (): Promise<void> => {
    if (timer) clearTimeout(timer.id)
    timer = null
    return (writing = writing.then(write))
  }
  return {
    read: section => sections.get(section),
    write: (section, value, isUrgent = false) => {
      changed.set(section, value)
      if (timer && (timer.isUrgent || !isUrgent)) return
      if (timer) clearTimeout(timer.id)
      timer = {
        isUrgent,
        id: setTimeout(() => void flush(), isUrgent ? urgentDelayMs : normalDelayMs),
      }
      timer.id.unref()
    },
    flush,
    watch: onChange => {
      listener = onChange
      onChange(isWorking)
    },
  }
}

/** A memory that ends with the process, where there is no directory. */
export const noStateFile: StateFile = {
  read: () => undefined,
  write: () => undefined,
  flush: () => Promise.resolve(),
  watch: () => undefined,
}

const load = async (path: string, log: Log): Promise<Map<string, unknown>> => {
  const size = await stat(path).then(
    found => found.size,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return null
      throw error
    },
  )
  if (size === null) return new Map()
  if (size > maxBytes) throw new Error(`it has ${size} bytes`)
  const read: unknown = JSON.parse(await readFile(path, 'utf8'))
  if (typeof read !== 'object' || read === null || !('sections' in read))
    throw new Error('it has no sections')
  const { version, sections } = read as { version?: unknown; sections: unknown }
  if (version !== formatVersion) throw new Error(`its version is ${String(version)}`)
  if (typeof sections !== 'object' || sections === null)
    throw new Error('its sections are none')
  log.debug({ path, bytes: size }, 'state file read')
  return new Map(Object.entries(sections))
}

/** All or nothing, a loss of power included: written beside it, synced, renamed over it. */
const replace = async (path: string, text: string): Promise<void> => {
  const draft = `${path}.new`
  try {
    const file = await open(draft, 'w', 0o600)
    try {
      await file.writeFile(text)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(draft, path)
  } catch (error) {
    await rm(draft, { force: true }).catch(() => undefined)
    throw error
  }
}
