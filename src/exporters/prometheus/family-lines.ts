import type { Sample } from '../../model/index.ts'
import { formatLine } from './exposition.ts'
import { families } from './families.ts'

/** Complete lines of one family, with the index of the family in the table. */
export interface IndexedLines {
  readonly familyIndex: number
  readonly lines: string
}

/** Lines by the index of their family. */
export type FamilyLines = readonly (string | undefined)[]

const familyIndexes: ReadonlyMap<string, number> = new Map(
  families.map(({ name }, familyIndex) => [name, familyIndex]),
)

/** Renders samples and joins the lines of each family. Samples of unknown families are dropped. */
export const renderSamples = (samples: readonly Sample[]): readonly IndexedLines[] => {
  const unsorted: IndexedLines[] = []
  for (const { family, labels, value } of samples) {
    const familyIndex = familyIndexes.get(family)
    if (familyIndex !== undefined)
      unsorted.push({ familyIndex, lines: formatLine(family, labels, value) })
  }
  return joinByFamily(unsorted)
}

/**
 * Joins the lines of each family. The results are slices of one flat string: V8 would otherwise keep the many small
 * parts of each line alive, and a scrape would spend its time in garbage collection.
 */
export const joinByFamily = (
  unsorted: readonly IndexedLines[],
): readonly IndexedLines[] => {
  const sorted = [...unsorted].sort((a, b) => a.familyIndex - b.familyIndex)
  const allLines = sorted.map(({ lines }) => lines).join('')
  const joined: IndexedLines[] = []
  let start = 0
  let end = 0
  sorted.forEach(({ familyIndex, lines: text }, i) => {
    end += text.length
    if (sorted[i + 1]?.familyIndex === familyIndex) return
    joined.push({ familyIndex, lines: allLines.slice(start, end) })
    start = end
  })
  return joined
}

export const indexByFamily = (joined: readonly IndexedLines[]): FamilyLines => {
  const byIndex = new Array<string | undefined>(families.length).fill(undefined)
  for (const { familyIndex, lines } of joined) byIndex[familyIndex] = lines
  return byIndex
}
