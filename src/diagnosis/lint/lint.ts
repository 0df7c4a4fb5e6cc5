import type { BuilderState, Finding, LocalNix, SshTimeouts } from '../../model/index.ts'
import { dialectOf } from '../../nix/dialect.ts'
import { lintBuilder } from './builder.ts'
import { lintClient } from './client.ts'
import { lintLine } from './line.ts'
import { lintList } from './list.ts'
import { lintSshTimeouts } from './ssh-timeouts.ts'
import { lintShape } from './shape.ts'

export interface LintInput {
  readonly builders: readonly BuilderState[]
  readonly nix: LocalNix
  readonly sshTimeouts?: SshTimeouts | undefined
}

/**
 * Returns advice about the configuration, each finding with the exact line to write. A rule without data returns
 * nothing, so that every finding is true. Pure.
 */
export const lint = ({ builders, nix, sshTimeouts }: LintInput): readonly Finding[] => {
  const dialect = dialectOf(nix.version)
  return [
    ...lintClient(nix, builders.length > 0),
    ...lintList(builders, nix),
    ...(sshTimeouts
      ? lintSshTimeouts(
          builders.map(({ builder }) => builder),
          sshTimeouts,
          dialect,
        )
      : []),
    ...builders.flatMap(state => {
      const context = { state, builder: state.builder, dialect }
      const shape = lintShape(context, nix.system)
      const found = shape ? [shape] : [...lintLine(context), ...lintBuilder(context)]
      return found.map(finding => ({
        builder: state.builder.name,
        ...finding,
      }))
    }),
  ]
}
