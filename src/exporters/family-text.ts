import type { Sample } from '../model.ts'
import { lineOf } from './exposition.ts'
import { families } from './families.ts'

/** Lines by the place of their family in the table; where there are none the place is empty. */
export type FamilyText = readonly (string | undefined)[]

const placeOf: ReadonlyMap<string, number> = new Map(
  families.map(({ name }, place) => [name, place]),
)

/** A sample of no family of ours is left out. */
export const textByFamily = (samples: readonly Sample[]): FamilyText => {
  const lines: string[][] = []
  for (const { family, labels, value } of samples) {
    const place = placeOf.get(family)
    if (place !== undefined) (lines[place] ??= []).push(lineOf(family, labels, value))
  }
  return flat(lines)
}

export const joinTexts = (parts: readonly FamilyText[]): FamilyText => {
  const texts: string[][] = []
  for (const part of parts)
    part.forEach((text, place) => {
      if (text !== undefined) (texts[place] ??= []).push(text)
    })
  return flat(texts)
}

/** `join` makes one flat string; the trees of pieces that `+` leaves would be walked again at each scrape. */
const flat = (texts: readonly (readonly string[])[]): FamilyText =>
  texts.map(pieces => pieces.join(''))
