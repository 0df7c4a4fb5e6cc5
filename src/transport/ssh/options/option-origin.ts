import type { Run } from '../../../model/index.ts'
import { readRegularFile } from '../regular-file.ts'
import type { SshCommand } from '../ssh-command.ts'
import { findOptionWord, parseSshWords, splitOption } from './ssh-words.ts'

/** Where an option is set. */
export interface OptionOrigin {
  /** `FILE:LINE` or NIX_SSHOPTS. */
  readonly where: string
  /** The value as written there. */
  readonly value: string
  readonly file?: string
  readonly line?: number
}

export interface OriginSources {
  readonly command: Pick<SshCommand, 'destination' | 'options'>
  readonly run: Run
  readonly env: Readonly<Record<string, string | undefined>>
  readonly signal: AbortSignal
}

/** Older names that ssh still accepts (readconf.c). */
const olderNames: Readonly<Record<string, readonly string[]>> = {
  pubkeyacceptedalgorithms: ['pubkeyacceptedkeytypes'],
  hostbasedacceptedalgorithms: ['hostbasedkeytypes'],
}

/**
 * Finds where an option is set: in NIX_SSHOPTS, or in the files that `ssh -v -G` reads for this host (all Include), in the
 * blocks that it applies. Null if no file sets it. `value` is that of `ssh -G`; a line with this value is preferred.
 */
export const findOptionOrigin = async (
  option: string,
  value: string,
  { command, run, env, signal }: OriginSources,
): Promise<OptionOrigin | null> => {
  const name = option.toLowerCase()
  const word = findOptionWord(parseSshWords(command.options), name)
  if (word !== null) return { where: 'NIX_SSHOPTS', value: word }
  const { stderr } = await run({
    file: 'ssh',
    args: ['-v', '-G', command.destination, ...command.options],
    env,
    signal,
    maxBytes: 256 * 1024,
  })
  const names = new Set([name, ...(olderNames[name] ?? [])])
  const lines = await Promise.all(
    readFiles(stderr).map(file => linesOf(file, names, appliedBlocks(stderr))),
  )
  const found = lines.flat()
  const best =
    found.find(line => line.value.toLowerCase() === value.toLowerCase()) ?? found[0]
  return best
    ? {
        where: `${best.file}:${best.line}`,
        value: best.value,
        file: best.file,
        line: best.line,
      }
    : null
}

const maxFiles = 100

/** The files that ssh reads, in order (readconf.c read_config_file_depth). */
const readFiles = (verbose: string): readonly string[] =>
  [
    ...new Set(
      verbose
        .split('\n')
        .flatMap(
          line =>
            /^debug1: Reading configuration data (.+)$/.exec(line.trim())?.[1] ?? [],
        ),
    ),
  ].slice(0, maxFiles)

/** `FILE line N` of the Host blocks that apply. */
const appliedBlocks = (verbose: string): ReadonlySet<string> =>
  new Set(
    verbose.split('\n').flatMap(line => {
      const end = line.indexOf(': Applying options for ')
      return line.startsWith('debug1: ') && end > 0 ? [line.slice(8, end)] : []
    }),
  )

interface OptionLine {
  readonly file: string
  readonly line: number
  readonly value: string
}

/** Returns the lines of a file that set one of the options, without those in Host blocks that do not apply. */
const linesOf = async (
  file: string,
  names: ReadonlySet<string>,
  applied: ReadonlySet<string>,
): Promise<readonly OptionLine[]> => {
  const text = (await readRegularFile(file)) ?? ''
  let applies = true
  return text.split('\n').flatMap((raw, i): OptionLine[] => {
    const [name, value] = splitOption(raw.slice(0, 4096))
    // ssh does not print which Match blocks apply
    if (name === 'match') applies = true
    else if (name === 'host') applies = applied.has(`${file} line ${i + 1}`)
    return applies && names.has(name) ? [{ file, line: i + 1, value }] : []
  })
}
