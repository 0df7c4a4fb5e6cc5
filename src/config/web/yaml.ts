import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument } from 'yaml'
import type { Document } from 'yaml'

/**
 * A YAML document as a tree that knows its lines. Scalars stay the text they are: what `on` or `12` means is for the
 * reader of the field to say, so that a user named `on` is one.
 */
export type YamlNode =
  | {
      readonly kind: 'text'
      readonly line: number
      readonly value: string
      /** Nothing was written, or `null`, or `~`. */
      readonly isNull: boolean
    }
  | { readonly kind: 'list'; readonly line: number; readonly items: readonly YamlNode[] }
  | {
      readonly kind: 'map'
      readonly line: number
      readonly entries: readonly YamlEntry[]
    }

export interface YamlEntry {
  readonly key: string
  readonly line: number
  readonly value: YamlNode
}

/** What is wrong, and the 1-based line where. */
export interface YamlError {
  readonly line: number
  readonly text: string
}

/** More nodes than this are no configuration: aliases can grow without bounds. */
const maxNodes = 20_000
const maxDepth = 20

/** Parses one YAML document. An empty one is an empty map. Never throws. */
export const parseYaml = (
  text: string,
): { readonly root: YamlNode } | { readonly errors: readonly YamlError[] } => {
  const lines = new LineCounter()
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    // Every scalar is text
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
  if (document.contents === null) return { root: { kind: 'map', line: 1, entries: [] } }
  try {
    return { root: createTree(document, lines)(document.contents, 0) }
  } catch (error) {
    if (!(error instanceof TooLarge)) throw error
    return { errors: [{ line: 1, text: error.message }] }
  }
}

class TooLarge extends Error {}

const createTree = (document: Document, lines: LineCounter) => {
  let nodes = 0
  const lineOf = (node: unknown): number => {
    const range = (node as { range?: readonly [number, ...unknown[]] | null }).range
    return range ? lines.linePos(range[0]).line : 1
  }
  const tree = (node: unknown, depth: number, near = 1): YamlNode => {
    if (depth > maxDepth) throw new TooLarge(`deeper than ${maxDepth} levels`)
    if (++nodes > maxNodes) throw new TooLarge(`more than ${maxNodes} values`)
    if (node === null || node === undefined)
      return { kind: 'text', line: near, value: '', isNull: true }
    const line = lineOf(node)
    if (isAlias(node)) return tree(node.resolve(document), depth + 1, line)
    if (isSeq(node))
      return { kind: 'list', line, items: node.items.map(i => tree(i, depth + 1, line)) }
    if (isMap(node))
      return {
        kind: 'map',
        line,
        entries: node.items.map(({ key, value }) => {
          const at = key === null ? line : lineOf(key)
          const name = tree(key, depth + 1, at)
          return {
            key: name.kind === 'text' ? name.value : '?',
            line: at,
            value: tree(value, depth + 1, at),
          }
        }),
      }
    const value = isScalar<string>(node) ? node.value : ''
    const isPlain = isScalar(node) && (node.type === 'PLAIN' || node.type === undefined)
    return { kind: 'text', line, value, isNull: isPlain && /^(?:~|null|)$/i.test(value) }
  }
  return tree
}
