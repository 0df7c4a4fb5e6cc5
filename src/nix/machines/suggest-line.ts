import { words } from '../text.ts'

/** A likely mistake in the shape of a machine line, and the line without it. */
export interface SuggestedLine {
  /** What is wrong. */
  readonly mistake: string
  readonly line: string
}

const isSystem = (field: string): boolean =>
  field === 'builtin' || /^[a-z\d_]+-[a-z\d_]+$/.test(field)

const isNumber = (field: string): boolean => /^\+?\d{1,10}(?:\.\d{1,10})?$/.test(field)

/** Whether each field can hold what its position means; absent fields and `-` can. */
const plausible: readonly ((field: string) => boolean)[] = [
  () => true,
  field => field.split(',').every(isSystem),
  field => !isNumber(field) && !field.split(',').every(isSystem),
  field => /^\+?\d{1,10}$/.test(field),
  isNumber,
  field => !isNumber(field) && !field.includes('/'),
  field => !isNumber(field) && !field.includes('/'),
  field => field.length > 40,
]

const isPlausible = (fields: readonly string[]): boolean =>
  fields.every((field, index) => field === '-' || (plausible[index]?.(field) ?? false))

/**
 * Returns the line that was probably meant: with the scheme once, and with the fields that are missing, if all others then
 * make sense. Null if nothing is known to be wrong. `system` is the local system, which Nix uses by default.
 */
export const suggestLine = (text: string, system: string): SuggestedLine | null => {
  const [uri = '', ...rest] = words(text)
  const scheme = repeatedScheme(uri)
  const fields = [scheme ?? uri, ...rest]
  const shifted = insertMissing(fields, system)
  const mistakes = [
    ...(scheme === null
      ? []
      : ['the scheme of the store URI (field 1) is written twice']),
    ...(shifted === null ? [] : [shifted.mistake]),
  ]
  return mistakes.length === 0
    ? null
    : {
        mistake: mistakes.join(', and '),
        line: (shifted?.fields ?? fields).join(' '),
      }
}

/** Returns the URI with its first scheme only; null if it has one. */
const repeatedScheme = (uri: string): string | null => {
  const [, scheme, rest] =
    /^([a-z][a-z\d+.-]*:\/\/)(?:[a-z][a-z\d+.-]*:\/\/)+(.*)$/i.exec(uri.slice(0, 2000)) ??
    []
  return scheme === undefined || rest === undefined ? null : scheme + rest
}

const insertMissing = (
  fields: readonly string[],
  system: string,
): { readonly mistake: string; readonly fields: readonly string[] } | null => {
  const [uri = '', second = '-', ...rest] = fields
  if (uri === '-' || isPlausible(fields)) return null
  const hasSystems = second === '-' || second.split(',').every(isSystem)
  const candidates = hasSystems
    ? [
        {
          mistake: 'the ssh key (field 3) is missing',
          fields: [uri, second, '-', ...rest],
        },
      ]
    : [
        {
          mistake: 'the systems (field 2) are missing',
          fields: [uri, system, second, ...rest],
        },
        {
          mistake: 'the systems and the ssh key (fields 2 and 3) are missing',
          fields: [uri, system, '-', second, ...rest],
        },
      ]
  // Only a number in the place of the key shows that the key is missing
  if (hasSystems && !isNumber(rest[0] ?? '')) return null
  return candidates.find(candidate => isPlausible(candidate.fields)) ?? null
}
