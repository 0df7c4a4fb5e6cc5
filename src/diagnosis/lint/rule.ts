import type { Builder, BuilderState, Finding } from '../../model/index.ts'
import type { NixDialect } from '../../nix/dialect.ts'

/** A finding about one builder. */
export type BuilderFinding = Omit<Finding, 'builder'>

/** Input of the rules about one builder. */
export interface LintContext {
  readonly state: BuilderState
  readonly builder: Builder
  /** The grammar of the local Nix. */
  readonly dialect: NixDialect
}

/** Returns a finding, or null if the rule does not apply or lacks data. */
export type LintRule = (context: LintContext) => BuilderFinding | null

/** Formats where a machine line is: `file:line`. */
export const formatOrigin = ({ origin }: Builder): string =>
  `${origin.file}:${origin.line}`
