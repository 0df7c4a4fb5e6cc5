import type { Builder } from '../model.ts'

type Nameless = Omit<Builder, 'name'>

/**
 * Gives each builder its name: the host, with `user@`, `:port` or the scheme only where two lines would collide, then
 * `#2` ... in the order of their full lines sorted. Reordering the list renames nothing. Stores without a host are
 * named by their URI. The order of the list stays.
 */
export const nameBuilders = (builders: readonly Nameless[]): readonly Builder[] => {
  let parts: readonly Part[] = builders.map(builder => ({
    builder,
    shown: { user: false, port: false, scheme: false },
  }))
  for (const what of ['user', 'port', 'scheme'] as const)
    parts = showWhereItDiffers(parts, what)
  const names = numbered(parts)
  return builders.map((builder, i) => ({
    ...builder,
    name: names[i] ?? builder.storeUri,
  }))
}

interface Part {
  readonly builder: Nameless
  readonly shown: {
    readonly user: boolean
    readonly port: boolean
    readonly scheme: boolean
  }
}

/** Adds a part of the URI to those of equal names that differ in it. */
const showWhereItDiffers = (
  parts: readonly Part[],
  what: keyof Part['shown'],
): readonly Part[] => {
  const seen = new Map<string, Set<unknown>>()
  for (const part of parts) {
    const values = seen.get(nameOf(part)) ?? new Set()
    seen.set(nameOf(part), values.add(part.builder[what]))
  }
  return parts.map(part =>
    (seen.get(nameOf(part))?.size ?? 0) > 1
      ? { ...part, shown: { ...part.shown, [what]: true } }
      : part,
  )
}

const nameOf = ({ builder, shown }: Part): string => {
  const scheme = shown.scheme ? `${builder.scheme}://` : ''
  if (builder.host === null)
    return builder.storeUri.includes('://') ? builder.storeUri : scheme + builder.storeUri
  const user = shown.user && builder.user !== null ? `${builder.user}@` : ''
  if (!shown.port || builder.port === null) return scheme + user + builder.host
  const host = builder.host.includes(':') ? `[${builder.host}]` : builder.host
  return `${scheme}${user}${host}:${builder.port}`
}

/** The names, with `#2` ... after those that are still equal. */
const numbered = (parts: readonly Part[]): readonly string[] => {
  const order = parts
    .map((part, i) => ({ i, name: nameOf(part), line: part.builder.line }))
    .sort((a, b) => compare(a.line, b.line) || a.i - b.i)
  const plain = new Set(order.map(entry => entry.name))
  const next = new Map<string, number>()
  const names: string[] = []
  for (const { i, name } of order) {
    let number = next.get(name) ?? 1
    // a host that is really called `a#2` keeps its name
    while (number > 1 && plain.has(`${name}#${number}`)) number++
    names[i] = number === 1 ? name : `${name}#${number}`
    next.set(name, number + 1)
  }
  return names
}

/** By code units: the same on every machine, whatever its locale. */
const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
