import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument } from 'yaml'
import type { Document } from 'yaml'

/** Keys and indexes from the root of a document to a value. */
export type Path = readonly (string | number)[]

/** A parsed YAML document. */
export interface YamlDocument {
  /**
   * Maps, lists and scalars. Scalars are strings as written, so a user name `on` or `12` stays what it is; null where
   * nothing, `null` or `~` is written.
   */
  readonly value: unknown
  /** Returns the 1-based line of a value, or of its nearest ancestor in the document. */
  lineOf(path: Path): number
  /** Returns the 1-based line of the key of a value. */
  keyLineOf(path: Path): number
}

export interface YamlError {
  /** 1-based. */
  readonly line: number
  readonly text: string
}

/** Limits for expanded aliases, which can grow exponentially. */
const maxNodes = 20_000
const maxDepth = 20

/** Parses one YAML document. An empty document is an empty map. Never throws. */
export const parseYaml = (
  text: string,
): { readonly document: YamlDocument } | { readonly errors: readonly YamlError[] } => {
  const lines = new LineCounter()
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    // Every scalar is a string
    schema: 'failsafe',
    logLevel: 'silent',
  })
  if (document.errors.length > 0)
    return {
      errors: document.errors.map(({ message, pos }) => ({
        line: lines.linePos(pos[0]).line,
        text: message.split('\n')[0]!,
      })),
    }
  try {
    return { document: convert(document, lines) }
  } catch (error) {
    if (!(error instanceof TooLarge)) throw error
    return { errors: [{ line: 1, text: error.message }] }
  }
}

class TooLarge extends Error {}

const convert = (document: Document, lines: LineCounter): YamlDocument => {
  const valueLines = new Map<string, number>()
  const keyLines = new Map<string, number>()
  const rangeLine = (node: unknown): number => {
    const range = (node as { range?: readonly [number, ...unknown[]] | null }).range
    return range ? lines.linePos(range[0]).line : 1
  }
  let nodes = 0
  const toValue = (node: unknown, path: Path, parentLine: number, depth = 0): unknown => {
    if (depth > maxDepth) throw new TooLarge(`deeper than ${maxDepth} levels`)
    if (++nodes > maxNodes) throw new TooLarge(`more than ${maxNodes} values`)
    const line = node ? rangeLine(node) : parentLine
    valueLines.set(keyOf(path), line)
    if (!node) return null
    if (isAlias(node)) return toValue(node.resolve(document), path, line, depth + 1)
    if (isSeq(node))
      return node.items.map((item, i) => toValue(item, [...path, i], line, depth + 1))
    if (isMap(node)) {
      // Without a prototype: `__proto__` is an ordinary key
      const map = Object.create(null) as Record<string, unknown>
      for (const { key, value } of node.items) {
        const keyNode = isAlias(key) ? key.resolve(document) : key
        const name = isScalar<string>(keyNode) ? keyNode.value : '?'
        const keyLine = key === null ? line : rangeLine(key)
        keyLines.set(keyOf([...path, name]), keyLine)
        map[name] = toValue(value, [...path, name], keyLine, depth + 1)
      }
      return map
    }
    const value = isScalar<string>(node) ? node.value : ''
    const isPlain = isScalar(node) && (node.type === 'PLAIN' || node.type === undefined)
    return isPlain && /^(?:~|null|)$/i.test(value) ? null : value
  }
  const value = document.contents === null ? {} : toValue(document.contents, [], 1)
  const find = (map: ReadonlyMap<string, number>, path: Path): number | undefined =>
    map.get(keyOf(path))
  const lineOf = (path: Path): number =>
    find(valueLines, path) ?? (path.length === 0 ? 1 : lineOf(path.slice(0, -1)))
  return { value, lineOf, keyLineOf: path => find(keyLines, path) ?? lineOf(path) }
}

const keyOf = (path: Path): string => JSON.stringify(path.map(String))
