import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'

export const stateFileName = 'state.json'
/** Of the file. Another version is not read. */
export const formatVersion = 2
const maxBytes = 64 * 1024 * 1024

/** Reads the sections of a state file; none if it does not exist. Rejects for an invalid file. */
export const readState = async (path: string): Promise<Map<string, unknown>> => {
  const size = await stat(path).then(
    found => found.size,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return null
      throw error
    },
  )
  if (size === null) return new Map()
  if (size > maxBytes) throw new Error(`too large: ${size} bytes`)
  const read: unknown = JSON.parse(await readFile(path, 'utf8'))
  if (typeof read !== 'object' || read === null || !('sections' in read))
    throw new Error('no sections')
  const { version, sections } = read as { version?: unknown; sections: unknown }
  if (version !== formatVersion) throw new Error(`unknown version ${String(version)}`)
  if (typeof sections !== 'object' || sections === null)
    throw new Error('sections is not an object')
  return new Map(Object.entries(sections))
}

/** Reads one section of the state file of a directory, not validated. Undefined if it cannot be read. */
export const readStateSection = (directory: string, section: string): Promise<unknown> =>
  readState(join(directory, stateFileName)).then(
    sections => sections.get(section),
    () => undefined,
  )
