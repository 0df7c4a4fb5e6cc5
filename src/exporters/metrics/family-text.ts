import type { Sample } from '../../model.ts'
import { lineOf } from './exposition.ts'
import { families } from './families.ts'

/** Whole lines of one family, by the place of that family in the table. */
export interface PlacedText {
  readonly place: number
  readonly text: string
}

/** The same, to be found by place. */
export type FamilyText = readonly (string | undefined)[]

const placeOf: ReadonlyMap<string, number> = new Map(
  families.map(({ name }, place) => [name, place]),
)

/** A sample of no family of ours is left out. */
export const textsOf = (samples: readonly Sample[]): readonly PlacedText[] => {
  const lines: PlacedText[] = []
  for (const { family, labels, value } of samples) {
    const place = placeOf.get(family)
    if (place !== undefined) lines.push({ place, text: lineOf(family, labels, value) })
  }
  return gather(lines)
}

/**
 * One text for each family, all of them pieces of one flat string: the many small ones that a line is put together
 * from would live on with it otherwise, and a scrape spend its time in the garbage collector.
 */
export const gather = (lines: readonly PlacedText[]): readonly PlacedText[] => {
  const sorted = [...lines].sort((a, b) => a.place - b.place)
  const whole = sorted.map(({ text }) => text).join('')
  const texts: PlacedText[] = []
  let start = 0
  let end = 0
  sorted.forEach(({ place, text }, i) => {
    end += text.length
    if (sorted[i + 1]?.place === place) return
    texts.push({ place, text: whole.slice(start, end) })
    start = end
  })
  return texts
}

export const byFamily = (texts: readonly PlacedText[]): FamilyText => {
  const found = new Array<string | undefined>(families.length).fill(undefined)
  for (const { place, text } of texts) found[place] = text
  return found
}
