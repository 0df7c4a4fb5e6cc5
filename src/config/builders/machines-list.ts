import type { Origin, Problem, SyntaxPitfall } from '../../model/index.ts'
import type { Machine } from '../../nix/machines/machine-line.ts'

/** The machines of a `builders` value, its `@files` included. */
export interface MachinesList {
  readonly machines: readonly (Machine & { readonly origin: Origin })[]
  readonly problems: readonly Problem[]
  readonly syntaxPitfalls: readonly SyntaxPitfall[]
}

export const emptyMachinesList: MachinesList = {
  machines: [],
  problems: [],
  syntaxPitfalls: [],
}
