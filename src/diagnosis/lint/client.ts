import type { Finding, LocalNix } from '../../model/index.ts'
import { dialectOf } from '../../nix/dialect.ts'
import { parseBoolean, parseInteger } from '../../nix/settings.ts'
import { quote } from '../../nix/text.ts'

/** Checks nix.conf of this machine and the text of its builders list. */
export const lintClient = (nix: LocalNix, hasBuilders: boolean): readonly Finding[] => [
  ...(hasBuilders ? substitutes(nix) : []),
  ...sizeSuffixes(nix),
  ...traps(nix),
]

const substitutes = ({ settings }: LocalNix): Finding[] => {
  const setting = settings?.['builders-use-substitutes']
  if (!setting || parseBoolean(setting.value) !== false) return []
  const where = setting.origin
    ? ` (${setting.origin.file}:${setting.origin.line})`
    : ' (/etc/nix/nix.conf)'
  return [
    {
      rule: 'builders_use_substitutes',
      message: `builders do not download inputs from caches, so this machine uploads all of them${where}`,
      fix: 'builders-use-substitutes = true',
    },
  ]
}

/** Nix 2.23 supports suffixes; before, and in Lix, every command fails (NIX: `setting 'min-free' has invalid value '1G'`). */
const sizeSuffixes = ({ version, settings }: LocalNix): Finding[] => {
  if (version === null) return []
  return ['min-free', 'max-free'].flatMap(name => {
    const setting = settings?.[name]
    if (!setting?.origin || parseInteger(setting.value, dialectOf(version)) !== null)
      return []
    const bytes = parseInteger(setting.value, dialectOf(null))
    if (bytes === null) return []
    return [
      {
        rule: 'size_suffix',
        message: `Nix ${version} does not support the suffix in ${name} = ${setting.value}: every command fails (${setting.origin.file}:${setting.origin.line})`,
        fix: `${name} = ${bytes}`,
      },
    ]
  })
}

const traps = ({ version, syntaxPitfalls = [] }: LocalNix): Finding[] =>
  syntaxPitfalls.map(({ kind, file, line, text }) =>
    kind === 'blank'
      ? {
          rule: 'blank_line',
          message: `Nix ${version ?? ''} reads the spaces before the end of this line or its comment as a malformed machine (${file}:${line})`,
          fix: `sed -i '${line}s/^[ \\t]*//' ${file}`,
        }
      : {
          rule: 'comment_semicolon',
          message: `Nix ${version ?? ''} reads the text after the ; in this comment as a machine: ${quote(text)} (${file}:${line})`,
          fix: `sed -i '${line}s/#.*//' ${file}`,
        },
  )
