import type { Builder } from '../model/index.ts'
import { closestMatch } from '../text/closest-match.ts'

/** Returns the builders that are the same sshd as the named one, itself included; none for an unknown name. */
export const linesOfHost = (
  all: readonly Builder[],
  keyOf: (builder: Builder) => string,
  name: string,
): readonly Builder[] => {
  const named = all.find(builder => builder.name === name)
  if (!named) return []
  const key = keyOf(named)
  return all.filter(builder => builder === named || keyOf(builder) === key)
}

/** Returns the names of these builders and of the other lines of their hosts, or what is wrong with a name. */
export const selectBuilders = (
  all: readonly Builder[],
  keyOf: (builder: Builder) => string,
  names: readonly string[],
): { readonly selected: readonly string[] } | { readonly error: string } => {
  const known = all.map(({ name }) => name)
  const unknown = names.find(name => !known.includes(name))
  if (unknown !== undefined) {
    const suggestion = closestMatch(unknown, known)
    return {
      error: `no builder is called ${unknown}${suggestion ? `, did you mean ${suggestion}?` : ''}`,
    }
  }
  const selected = names.flatMap(name => linesOfHost(all, keyOf, name))
  return { selected: [...new Set(selected.map(({ name }) => name))] }
}
