import type { Sample } from '../../model/index.ts'
import { formatLine } from './exposition.ts'
import { families } from './families.ts'

/** Whole lines of one family, by the place of that family in the table. */
export interface IndexedLines {
  readonly familyIndex: number
  readonly lines: string
}

/** The same, to be found by place. */
export type FamilyLines = readonly (string | undefined)[]

const familyIndexes: ReadonlyMap<string, number> = new Map(
  families.map(({ name }, familyIndex) => [name, familyIndex]),
)

/** A sample of no family of ours is left out. */
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
 * One text for each family, all of them pieces of one flat string: the many small ones that a line is put together
 * from would live on with it otherwise, and a scrape spend its time in the garbage collector.
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
