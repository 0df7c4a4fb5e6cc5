import type { ProbeName, TelemetryProbe } from '../../model/index.ts'

/** Occurs in every script, so in the output of a remote that only echoes its input. */
export const sectionMarker = 'section() {'

/**
 * What a sweep costs a builder is the programs that it starts, so scripts read small files with `read` and large or changing ones
 * with one program, and know `os` (uname -s). A kept shell is up to an hour old: nothing else may be read once.
 *
 * Returns POSIX sh functions: `section NAME` prints a line `@NONCE NAME` and what the probe of that name reads. The remote
 * assembles that line, so a command that only echoes its input cannot forge one. It collects each section and sends it at
 * once: otherwise every write of every program is a separate packet to decrypt.
 */
export const functionsOf = (probes: readonly TelemetryProbe<ProbeName>[]): string =>
  [
    `${sectionMarker} text=$("facts_$1" </dev/null); printf '\\n@%s %s\\n%s\\n' "$nonce" "$1" "$text"; }`,
    'LC_ALL=C; export LC_ALL',
    // Once for all sweeps of a kept shell
    'os=$(uname -s)',
    ...probes.flatMap(({ name, script }) => [`facts_${name}() {`, script.trim(), '}']),
    'facts_end() { :; }',
  ].join('\n')

/** Combines the scripts of the due probes to one script that prints a section for each, and ends. */
export const telemetryScript = (
  probes: readonly TelemetryProbe<ProbeName>[],
  nonce: string,
): string =>
  [
    `nonce=${nonce}`,
    functionsOf(probes),
    ...probes.map(({ name }) => `section ${name}`),
    'section end',
    '',
  ].join('\n')

/** Splits the output into sections; a section that is not followed by another is truncated and omitted. */
export const splitSections = (output: string, nonce: string): Map<string, string> => {
  const sections = new Map<string, string>()
  const parts = output.split(`\n@${nonce} `).slice(1)
  parts.forEach((part, i) => {
    const end = part.indexOf('\n')
    const name = (end < 0 ? part : part.slice(0, end)).trim()
    if (i < parts.length - 1 || name === 'end') sections.set(name, part.slice(end + 1))
  })
  return sections
}
