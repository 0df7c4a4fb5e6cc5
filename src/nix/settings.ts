import type { NixDialect } from './dialect.ts'

/** Nix settings by name, from `nix config show --json`; integers beyond 2^53 are bigints. */
export type Settings = ReadonlyMap<string, unknown>

/** Parses the JSON of `nix config show --json` or `nix show-config --json` (2.4 to 2.36); null for other input. Never throws. */
export const readSettings = (json: string): Settings | null => {
  const parsed = parseJson(json)
  if (!isObject(parsed)) return null
  return new Map(
    Object.entries(parsed).flatMap(([name, entry]) =>
      isObject(entry) && 'value' in entry ? [[name, entry['value']] as const] : [],
    ),
  )
}

/** Returns a string setting; null if it is absent or has another type. */
export const stringSetting = (settings: Settings, name: string): string | null => {
  const value = settings.get(name)
  return typeof value === 'string' ? value : null
}

/** Returns a list setting; empty if it is absent. Old versions print some lists as one string. */
export const listSetting = (settings: Settings, name: string): readonly string[] => {
  const value = settings.get(name)
  if (typeof value === 'string') return value.split(/\s+/).filter(word => word !== '')
  return Array.isArray(value) ? value.filter(item => typeof item === 'string') : []
}

/** Returns an exact integer such as `max-free` (default 2^64-1); null if it is absent. */
export const integerSetting = (settings: Settings, name: string): bigint | null => {
  const value = settings.get(name)
  if (typeof value === 'bigint') return value
  return typeof value === 'number' && Number.isSafeInteger(value) ? BigInt(value) : null
}

/**
 * Parses an unsigned 64-bit setting of nix.conf, for example `min-free` in bytes: digits, since 2.23 with a suffix K, M,
 * G or T (powers of 1024). Null for values that Nix rejects (`setting 'min-free' has invalid value '1G'`).
 */
export const parseInteger = (text: string, dialect: NixDialect): bigint | null => {
  const match = /^\+?(\d{1,40})([KMGT]?)$/i.exec(text)
  if (!match) return null
  const [, digits = '', suffix = ''] = match
  if (suffix && !dialect.sizeSuffixes) return null
  const value =
    BigInt(digits) << BigInt(10 * ' KMGT'.indexOf(suffix.toUpperCase() || ' '))
  return value < 1n << 64n ? value : null
}

/** Parses `true yes 1` and `false no 0`; null for values that Nix rejects. */
export const parseBoolean = (text: string): boolean | null => {
  if (['true', 'yes', '1'].includes(text)) return true
  return ['false', 'no', '0'].includes(text) ? false : null
}

/** Parses JSON and keeps integers beyond 2^53 exact, as bigints; undefined if the text is not JSON. */
export const parseJson = (text: string): unknown => {
  // matches a string or a number; strings stay unchanged
  const marked = text.replaceAll(
    /"[^"\\]*(?:\\[^][^"\\]*)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g,
    token => (isUnsafe(token) ? `"${bigMark}${token}"` : token),
  )
  try {
    return JSON.parse(marked, (_key, value: unknown) =>
      typeof value === 'string' && value.startsWith(bigValue)
        ? BigInt(value.slice(bigValue.length))
        : value,
    )
  } catch {
    return undefined
  }
}

// a private-use character, which no text of Nix starts with
const bigMark = '\\uf8ffint:'
const bigValue = '\uf8ffint:'

const isUnsafe = (token: string): boolean =>
  /^-?\d{16,}$/.test(token) && !Number.isSafeInteger(Number(token))

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
