import type { Builder } from '../../model/index.ts'

type UnnamedBuilder = Omit<Builder, 'name'>

/**
 * Gives each builder its name: the host, with `user@`, `:port` or the scheme only where two lines would collide, then
 * `#2` ... in the order of their full lines sorted. Reordering the list renames nothing. Stores without a host are
 * named by their URI. The order of the list stays.
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

/** Adds a part of the URI to those of equal names that differ in it. */
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

const formatName = ({ builder, shown }: NameParts): string => {
  const scheme = shown.scheme ? `${builder.scheme}://` : ''
  if (builder.host === null)
    return builder.storeUri.includes('://') ? builder.storeUri : scheme + builder.storeUri
  const user = shown.user && builder.user !== null ? `${builder.user}@` : ''
  if (!shown.port || builder.port === null) return scheme + user + builder.host
  const host = builder.host.includes(':') ? `[${builder.host}]` : builder.host
  return `${scheme}${user}${host}:${builder.port}`
}

/** The names, with `#2` ... after those that are still equal. */
const numberDuplicates = (parts: readonly NameParts[]): readonly string[] => {
  const order = parts
    .map((part, i) => ({ i, name: formatName(part), line: part.builder.line }))
    .sort((a, b) => compare(a.line, b.line) || a.i - b.i)
  const baseNames = new Set(order.map(entry => entry.name))
  const next = new Map<string, number>()
  const names: string[] = []
  for (const { i, name } of order) {
    let number = next.get(name) ?? 1
    // a host that is really called `a#2` keeps its name
    while (number > 1 && baseNames.has(`${name}#${number}`)) number++
    names[i] = number === 1 ? name : `${name}#${number}`
    next.set(name, number + 1)
  }
  return names
}

/** By code units: the same on every machine, whatever its locale. */
const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
