import { open, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Log } from '../log/log.ts'
import { formatVersion, readState, stateFileName } from './read-state.ts'

/** State that survives a restart: one JSON file with a section per writer. */
export interface StateFile {
  /** Returns a section as it was read at start, not validated. Undefined when there is none. */
  read(section: string): unknown
  /** Schedules the writing of a section: within two seconds when urgent, else within half a minute. */
  write(section: string, value: () => unknown, isUrgent?: boolean): void
  /** Writes all scheduled sections now. Never rejects. */
  flush(): Promise<void>
  /** Calls the listener at once and at each change with whether the file can be read and written. */
  watch(listener: (isWorking: boolean) => void): void
}

export interface StateFileDeps {
  /** An existing directory: systemd's $STATE_DIRECTORY (systemd.exec(5)). */
  readonly directory: string
  readonly log: Log
}

const normalDelayMs = 30_000
const urgentDelayMs = 2000

/**
 * Opens the file. An unreadable file is renamed to `state.json.bad` and a new one is started. Never rejects.
 */
export const openStateFile = async ({
  directory,
  log,
}: StateFileDeps): Promise<StateFile> => {
  const path = join(directory, stateFileName)
  let isWorking = true
  let listener: (isWorking: boolean) => void = () => undefined
  const setWorking = (now: boolean) => listener((isWorking = now))
  const sections = await readState(path).catch(async (error: unknown) => {
    const badPath = await rename(path, `${path}.bad`).then(
      () => `${path}.bad`,
      () => null,
    )
    log.warn(
      { path, badPath, err: error },
      'cannot read the state file, starting a new one',
    )
    isWorking = false
    return new Map<string, unknown>()
  })
  const changed = new Map<string, () => unknown>()
  let timer: { readonly id: NodeJS.Timeout; readonly isUrgent: boolean } | null = null
  let writing: Promise<void> = Promise.resolve()

  const write = async (): Promise<void> => {
    if (changed.size === 0) return
    try {
      for (const [section, value] of changed) sections.set(section, value())
      changed.clear()
      await replace(
        path,
        JSON.stringify({
          version: formatVersion,
          sections: Object.fromEntries(sections),
        }),
      )
      if (!isWorking) log.info({ path }, 'state file is writable again')
      setWorking(true)
    } catch (error) {
      if (isWorking)
        log.warn(
          { path, err: error },
          'cannot write the state file: the age of states will be lost at a restart',
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

/** Keeps nothing, when there is no state directory. */
export const noStateFile: StateFile = {
  read: () => undefined,
  write: () => undefined,
  flush: () => Promise.resolve(),
  watch: () => undefined,
}

/** Replaces the file atomically, also on power loss: writes a draft, syncs it, renames it. */
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
