import type { Builder, BuilderState, Finding, LocalNix } from '../../model/index.ts'
import { dialectOf, type NixDialect } from '../../nix/dialect.ts'
import { lintBuilder } from './builder.ts'
import { lintClient } from './client.ts'
import { lintLine } from './line.ts'
import { lintList } from './list.ts'

/** What the rules look at. */
export interface LintInput {
  readonly builders: readonly BuilderState[]
  readonly nix: LocalNix
}

/** A finding of a rule about one builder. */
export type BuilderFinding = Omit<Finding, 'builder'>

/** Rules see a builder's line, its newest good values and what this Nix understands. */
export interface LintContext {
  readonly state: BuilderState
  readonly builder: Builder
  readonly dialect: NixDialect
}

/**
 * Advice about the configuration, each with the exact line to write. A rule that lacks its data says nothing, so that
 * every finding is true. Pure.
 */
export const lint = ({ builders, nix }: LintInput): readonly Finding[] => {
  const dialect = dialectOf(nix.version)
  return [
    ...lintClient(nix, builders.length > 0),
    ...lintList(builders, nix),
    ...builders.flatMap(state => {
      const context = { state, builder: state.builder, dialect }
      return [...lintLine(context), ...lintBuilder(context)].map(finding => ({
        builder: state.builder.name,
        ...finding,
      }))
    }),
  ]
}
