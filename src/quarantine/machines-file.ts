import type { Builder } from '../model/index.ts'

/**
 * Returns the text of a machines file for programs that do not use Nix's build hook (`buildMachinesFiles` of Hydra): the line of
 * each builder as it is in its source, with includes expanded, without the builders that get no builds. Comments are left out,
 * since the lines come from several files. A builder of a TOML table has the machine line of the same meaning.
 */
export const formatMachinesFile = (
  builders: readonly Builder[],
  isExcluded: (name: string) => boolean,
): string =>
  builders
    .filter(({ name }) => !isExcluded(name))
    .map(({ line }) => `${line}\n`)
    .join('')
