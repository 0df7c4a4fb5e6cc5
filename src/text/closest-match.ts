/** Returns the candidate with the smallest edit distance, if it is a likely typo; null otherwise. */
export const closestMatch = (
  word: string,
  candidates: readonly string[],
): string | null => {
  let best: { name: string; distance: number } | null = null
  for (const name of candidates) {
    const distance = editDistance(word.slice(0, 60).toLowerCase(), name.toLowerCase())
    if (!best || distance < best.distance) best = { name, distance }
  }
  return best && best.distance <= Math.max(2, Math.floor(word.length / 3))
    ? best.name
    : null
}

/** Levenshtein distance. */
const editDistance = (a: string, b: string): number => {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++)
      next[j] = Math.min(
        row[j]! + 1,
        next[j - 1]! + 1,
        row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1),
      )
    row = next
  }
  return row[b.length]!
}
