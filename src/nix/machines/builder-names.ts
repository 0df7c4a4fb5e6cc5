import type { Builder } from '../../model/index.ts'
import { sanitize } from '../../text/sanitize.ts'

type UnnamedBuilder = Omit<Builder, 'name'>

/**
 * Names each builder by its host. `user@`, `:port` and the scheme are added only where names collide, then `#2`, `#3` ...
 * in the sorted order of the machine lines, so reordering the list changes no name. Stores without a host are named by
 * their URI. Control and direction characters are removed, since names reach terminals and pages. Keeps the order of the
 * list.
 */
export const nameBuilders = (builders: readonly UnnamedBuilder[]): readonly Builder[] => {
  let parts: readonly NameParts[] = builders.map(builder => ({
    builder,
    shown: { user: false, port: false, scheme: false },
  }))
  for (const field of ['user', 'port', 'scheme'] as const)
    parts = addWhereDifferent(parts, field)
  const names = numberDuplicates(parts)
  return builders.map((builder, i) => ({
    ...builder,
    name: names[i] ?? builder.storeUri,
  }))
}

interface NameParts {
  readonly builder: UnnamedBuilder
  readonly shown: {
    readonly user: boolean
    readonly port: boolean
    readonly scheme: boolean
  }
}

/** Adds a part of the URI to builders that have the same name and differ in that part. */
const addWhereDifferent = (
  parts: readonly NameParts[],
  field: keyof NameParts['shown'],
): readonly NameParts[] => {
  const valuesByName = new Map<string, Set<unknown>>()
  for (const part of parts) {
    const values = valuesByName.get(formatName(part)) ?? new Set()
    valuesByName.set(formatName(part), values.add(part.builder[field]))
  }
  return parts.map(part =>
    (valuesByName.get(formatName(part))?.size ?? 0) > 1
      ? { ...part, shown: { ...part.shown, [field]: true } }
      : part,
  )
}

const formatName = (parts: NameParts): string => sanitize(formatParts(parts)) || '?'

const formatParts = ({ builder, shown }: NameParts): string => {
  const scheme = shown.scheme ? `${builder.scheme}://` : ''
  if (builder.host === null)
    return builder.storeUri.includes('://') ? builder.storeUri : scheme + builder.storeUri
  const user = shown.user && builder.user !== null ? `${builder.user}@` : ''
  if (!shown.port || builder.port === null) return scheme + user + builder.host
  const host = builder.host.includes(':') ? `[${builder.host}]` : builder.host
  return `${scheme}${user}${host}:${builder.port}`
}

/** Appends `#2`, `#3` ... to names that are still equal. */
const numberDuplicates = (parts: readonly NameParts[]): readonly string[] => {
  const order = parts
    .map((part, i) => ({ i, name: formatName(part), line: part.builder.line }))
    .sort((a, b) => compare(a.line, b.line) || a.i - b.i)
  const baseNames = new Set(order.map(entry => entry.name))
  const next = new Map<string, number>()
  const names: string[] = []
  for (const { i, name } of order) {
    let number = next.get(name) ?? 1
    // a host whose real name is `a#2` keeps it
    while (number > 1 && baseNames.has(`${name}#${number}`)) number++
    names[i] = number === 1 ? name : `${name}#${number}`
    next.set(name, number + 1)
  }
  return names
}

/** Compares by code units, independent of the locale. */
const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
