import type { BuilderState } from '../model/index.ts'

/** States per node of the tree: a change copies a few arrays of this length. */
const bits = 5
const mask = 2 ** bits - 1

type Node = readonly BuilderState[] | readonly Node[]

/**
 * The states of all builders by name, in the order of the builders list. Immutable: `with` returns a new map that shares all
 * other states, at a cost that does not grow with the number of builders (an array mapped trie of 32 states per node).
 */
export class BuilderStates implements ReadonlyMap<string, BuilderState> {
  readonly #indexes: ReadonlyMap<string, number>
  readonly #root: Node
  /** Bits of an index that are below the root. */
  readonly #shift: number

  private constructor(indexes: ReadonlyMap<string, number>, root: Node, shift: number) {
    this.#indexes = indexes
    this.#root = root
    this.#shift = shift
  }

  /** A name that occurs twice has the last state. */
  static of(states: readonly BuilderState[]): BuilderStates {
    const byName = new Map(states.map(state => [state.builder.name, state]))
    let root: Node = [...byName.values()]
    let shift = 0
    while (root.length > mask + 1) {
      root = inPieces(root)
      shift += bits
    }
    const indexes = new Map([...byName.keys()].map((name, index) => [name, index]))
    return new BuilderStates(indexes, root, shift)
  }

  /** Returns the map with another state of a builder that it has. */
  with(state: BuilderState): BuilderStates {
    const index = this.#indexes.get(state.builder.name)
    if (index === undefined) throw new Error(`no builder is called ${state.builder.name}`)
    const root = replaced(this.#root, this.#shift, index, state)
    return new BuilderStates(this.#indexes, root, this.#shift)
  }

  get size(): number {
    return this.#indexes.size
  }

  get(name: string): BuilderState | undefined {
    const index = this.#indexes.get(name)
    if (index === undefined) return undefined
    let node = this.#root
    for (let shift = this.#shift; shift > 0; shift -= bits)
      node = node[(index >> shift) & mask] as Node
    return node[index & mask] as BuilderState
  }

  has(name: string): boolean {
    return this.#indexes.has(name)
  }

  keys(): MapIterator<string> {
    return this.#indexes.keys()
  }

  *values(): MapIterator<BuilderState> {
    yield* statesIn(this.#root, this.#shift)
  }

  *entries(): MapIterator<[string, BuilderState]> {
    for (const state of this.values()) yield [state.builder.name, state]
  }

  [Symbol.iterator](): MapIterator<[string, BuilderState]> {
    return this.entries()
  }

  forEach(
    callback: (
      state: BuilderState,
      name: string,
      map: ReadonlyMap<string, BuilderState>,
    ) => void,
  ): void {
    for (const [name, state] of this) callback(state, name, this)
  }
}

const inPieces = (nodes: Node): readonly Node[] =>
  Array.from({ length: Math.ceil(nodes.length / (mask + 1)) }, (_, i) =>
    nodes.slice(i * (mask + 1), (i + 1) * (mask + 1)),
  )

const replaced = (
  node: Node,
  shift: number,
  index: number,
  state: BuilderState,
): Node => {
  const at = (index >> shift) & mask
  if (shift === 0) return (node as readonly BuilderState[]).with(at, state)
  const children = node as readonly Node[]
  const child = children[at] ?? []
  return children.with(at, replaced(child, shift - bits, index, state))
}

function* statesIn(node: Node, shift: number): Generator<BuilderState, undefined> {
  if (shift === 0) yield* node as readonly BuilderState[]
  else for (const child of node as readonly Node[]) yield* statesIn(child, shift - bits)
}
