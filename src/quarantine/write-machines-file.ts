import {
  closeSync,
  fchmodSync,
  fsyncSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { Log } from '../log/log.ts'
import type { Builder } from '../model/index.ts'
import { formatMachinesFile } from './machines-file.ts'

/** Keeps a machines file up to date. All calls are synchronous, so that the file is complete when the process ends. */
export interface MachinesFile {
  /** Writes the file if its text has changed. `path` null: lists all builders in the previous file and leaves it. */
  update(
    path: string | null,
    builders: readonly Builder[],
    isExcluded: (name: string) => boolean,
  ): void
  /** Lists all builders: without a monitor no builder returns. */
  release(): void
}

const noOne = () => false
const sourceError = 'machines file is a source of the builders, so it is not written'

export const createMachinesFile = (log: Pick<Log, 'info' | 'warn'>): MachinesFile => {
  let current: string | null = null
  let known: readonly Builder[] = []
  let written: string | null = null
  let lastError: string | null = null
  const isSource = createIsSource()

  const write = (path: string, text: string) => {
    if (text === written) return
    const error = tryWrite(path, text)
    if (error === null) {
      if (lastError !== null)
        log.info({ file: path }, 'machines file is up to date again')
      written = text
    } else {
      if (lastError !== error)
        log.warn({ file: path, error }, 'machines file cannot be written')
      // A builder that is missing in the old text must not stay out: renaming needs no space
      const all = formatMachinesFile(known, noOne)
      if (written !== null && written !== all && tryRename(spareOf(path), path))
        written = all
    }
    lastError = error
  }
  const releaseFile = () => {
    if (current === null || written === null) return
    write(current, formatMachinesFile(known, noOne))
    rmQuietly(spareOf(current))
  }

  return {
    update: (path, builders, isExcluded) => {
      if (path !== current) {
        releaseFile()
        current = path
        written = null
        lastError = null
      }
      // A list that is empty or malformed at the start replaces no file
      if (path === null || (builders.length === 0 && written === null)) return
      if (isSource(path, builders)) {
        releaseFile()
        written = null
        if (lastError !== sourceError) log.warn({ file: path }, sourceError)
        lastError = sourceError
        return
      }
      const all = formatMachinesFile(builders, noOne)
      const text = formatMachinesFile(builders, isExcluded)
      if (text !== written && text !== all && tryWrite(spareOf(path), all) !== null) {
        // Without a way back all builders stay in the file
        known = builders
        return write(path, all)
      }
      known = builders
      write(path, text)
      if (text === all) rmQuietly(spareOf(path))
    },
    release: releaseFile,
  }
}

/** The text that lists all builders, for a directory that becomes full. */
const spareOf = (path: string): string => join(dirname(path), `.${basename(path)}.all`)

/** Writes a temporary file and renames it, so that readers see the old or the new text. Returns the error, or null. */
const tryWrite = (path: string, text: string): string | null => {
  const temporary = join(dirname(path), `.${basename(path)}.new`)
  try {
    if (readQuietly(path, text.length) === text) return null
    rmSync(temporary, { force: true })
    const file = openSync(temporary, 'wx', 0o644)
    try {
      // Whatever the umask of the service is
      fchmodSync(file, 0o644)
      writeFileSync(file, text)
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
    renameSync(temporary, path)
    return null
  } catch (error) {
    rmQuietly(temporary)
    return (error as NodeJS.ErrnoException).code ?? String(error)
  }
}

const tryRename = (from: string, to: string): boolean => {
  try {
    renameSync(from, to)
    return true
  } catch {
    return false
  }
}

/** Returns the text of a regular file of about this size; null for another one. */
const readQuietly = (path: string, length: number): string | null => {
  try {
    const { size, mode } = statSync(path)
    const isSimilar = size <= 4 * length && (mode & 0o177_777) === 0o100_644
    return isSimilar ? readFileSync(path, 'utf8') : null
  } catch {
    return null
  }
}

const rmQuietly = (path: string): void => {
  try {
    rmSync(path, { force: true })
  } catch {
    // Nothing can be done in a read-only directory
  }
}

/** A file from which the builders come must not be written: a builder that is left out would never return. */
const createIsSource = () => {
  let key = ''
  let isSource = false
  return (path: string, builders: readonly Builder[]): boolean => {
    const files = [...new Set(builders.map(({ origin }) => origin.file))]
    const asked = [path, ...files].join('\0')
    if (asked !== key) {
      key = asked
      const real = realPath(path)
      isSource = files.some(file => realPath(file) === real)
    }
    return isSource
  }
}

const realPath = (path: string): string => {
  try {
    return realpathSync(path)
  } catch {
    return path
  }
}
