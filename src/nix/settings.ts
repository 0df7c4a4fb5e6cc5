import type { NixDialect } from './dialect.ts'

/** The settings of a Nix by name, as `nix config show --json` tells them; integers beyond 2^53 are bigints. */
export type Settings = ReadonlyMap<string, unknown>

/**
 * Reads the JSON of `nix config show --json` or `nix show-config --json` (2.4 to 2.36); null where it is something
 * else. Never throws.
 */
export const readSettings = (json: string): Settings | null => {
  const all = parseJson(json)
  if (!isObject(all)) return null
  return new Map(
    Object.entries(all).flatMap(([name, entry]) =>
      isObject(entry) && 'value' in entry ? [[name, entry['value']] as const] : [],
    ),
  )
}

/** A string, or null where the setting is absent or of another type. */
export const stringSetting = (settings: Settings, name: string): string | null => {
  const value = settings.get(name)
  return typeof value === 'string' ? value : null
}

/** A list of strings; empty where the setting is absent. Old versions tell some lists as one string. */
export const listSetting = (settings: Settings, name: string): readonly string[] => {
  const value = settings.get(name)
  if (typeof value === 'string') return value.split(/\s+/).filter(word => word !== '')
  return Array.isArray(value) ? value.filter(item => typeof item === 'string') : []
}

/** An exact whole number such as `max-free` (default 2^64-1); null where it is absent. */
export const integerSetting = (settings: Settings, name: string): bigint | null => {
  const value = settings.get(name)
  if (typeof value === 'bigint') return value
  return typeof value === 'number' && Number.isSafeInteger(value) ? BigInt(value) : null
}

/**
 * An unsigned 64-bit setting as written in nix.conf, for example bytes of `min-free`: digits, from 2.23 on with a
 * suffix K, M, G or T (powers of 1024). Null is what Nix rejects: `setting 'min-free' has invalid value '1G'`.
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

/** `true yes 1` and `false no 0`; null is what Nix rejects. */
export const parseBoolean = (text: string): boolean | null => {
  if (['true', 'yes', '1'].includes(text)) return true
  return ['false', 'no', '0'].includes(text) ? false : null
}

/** JSON.parse that keeps whole numbers beyond 2^53 exact, as bigints; undefined where the text is not JSON. */
export const parseJson = (text: string): unknown => {
  // a string, or a number; what is in a string stays as it is
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

// a private-use character, so that no text of Nix starts with it
const bigMark = '\\uf8ffint:'
const bigValue = '\uf8ffint:'

const isUnsafe = (token: string): boolean =>
  /^-?\d{16,}$/.test(token) && !Number.isSafeInteger(Number(token))

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
