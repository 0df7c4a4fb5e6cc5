/** Removes all trailing occurrences of a character. Linear, unlike a regular expression that ends in `+$`. */
export const trimEnd = (text: string, character: string): string => {
  let end = text.length
  while (end > 0 && text[end - 1] === character) end--
  return text.slice(0, end)
}
