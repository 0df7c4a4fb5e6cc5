/** Safe markup. Only `html` and `raw` create it. */
export interface Html {
  readonly markup: string
}

type Part = Html | string | number | null | undefined | false | readonly Part[]

/** Template tag that escapes interpolated text. Html is inserted as it is, lists are joined, null and false are empty. */
export const html = (strings: TemplateStringsArray, ...parts: readonly Part[]): Html => ({
  markup: strings.reduce(
    (page, string, i) => page + (i === 0 ? '' : renderPart(parts[i - 1])) + string,
    '',
  ),
})

/** Marks a constant as safe markup. */
export const raw = (markup: string): Html => ({ markup })

const renderPart = (part: Part): string => {
  if (part === null || part === undefined || part === false) return ''
  if (typeof part === 'object')
    return isList(part) ? part.map(renderPart).join('') : part.markup
  return escapeHtml(String(part))
}

const isList = (part: Html | readonly Part[]): part is readonly Part[] =>
  Array.isArray(part)

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

export const escapeHtml = (text: string): string =>
  text.replace(/[&<>"']/g, character => entities[character]!)
