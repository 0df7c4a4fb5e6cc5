import { basename, join } from 'node:path'
import type { Run } from '../../model/index.ts'
import { oneLine } from '../../text/truncate.ts'
import { maxScriptBytes, type LocalSystem } from './local-system.ts'

/** What is needed to look at a script without running it. */
export interface ScriptContext {
  readonly localSystem: LocalSystem
  readonly run: Run
  /** PATH of nix-daemon; null if unknown. */
  readonly path: string | null
  readonly signal: AbortSignal
}

/** Shells whose -n reads a script and runs nothing (POSIX sh; bash, dash and ksh have it too). */
const shells: ReadonlySet<string> = new Set(['sh', 'bash', 'dash', 'ash', 'ksh'])

const syntaxTimeoutMs = 5000

/** Each prefix that is examined starts a shell. */
const maxPrefixes = 5

/**
 * Returns why a shell script fails whenever it runs, as a predicate; null where that is not known. The script is read
 * by its shell with -n, which runs nothing.
 */
export const explainScript = async (
  path: string,
  context: ScriptContext,
): Promise<string | null> => {
  const text = await context.localSystem.readStart(path, maxScriptBytes)
  if (text === null || text.length >= maxScriptBytes || text.includes('\0')) return null
  const shell = shellOf(text)
  // Options and aliases that a script sets change what is valid in the lines after it
  if (shell === null || /\b(?:shopt|alias|setopt)\b/.test(text)) return null
  const lines = text.split('\n')
  const exit = await firstExit(lines, shell.path, context)
  if (exit === 'unknown') return null
  const error = await syntaxError(text, shell.path, context)
  if (error !== null && exit === null) return `has a syntax error: ${error}`
  const executed = exit === null ? lines : lines.slice(0, exit.line + 1)
  const missing = await missingCommand(executed, shell, context)
  if (missing !== null) return missing
  return exit !== null && exit.code > 0
    ? `always fails: line ${exit.line + 1} is ${oneLine(executed[exit.line] ?? '', 80)}`
    : null
}

/** The shell that executes a text: execvp(3) gives one without `#!` to /bin/sh. Null if it is no known shell. */
interface Shell {
  readonly path: string
  /** Whether the first line ends the script at the first failure. */
  readonly endsOnError: boolean
}

const shellOf = (text: string): Shell | null => {
  if (!text.startsWith('#!')) return { path: '/bin/sh', endsOnError: false }
  const [line = ''] = text.slice(2).split('\n', 1)
  const [interpreter = '', ...args] = line.trim().split(/[ \t]+/)
  const program = interpreter.endsWith('/env') ? args[0] : interpreter
  if (program === undefined || !shells.has(basename(program))) return null
  return { path: program, endsOnError: args.some(arg => /^-\w*e/.test(arg)) }
}

/** Returns the message of the shell; null for valid text, or if the shell does not answer. */
const syntaxError = async (
  text: string,
  shell: string,
  { run, signal, path }: ScriptContext,
): Promise<string | null> => {
  const deadline = AbortSignal.timeout(syntaxTimeoutMs)
  const result = await run({
    file: shell,
    args: ['-n'],
    // Without BASH_ENV and ENV, which name scripts to run first
    env: { PATH: path ?? process.env['PATH'], LC_ALL: 'C' },
    stdin: Buffer.from(text, 'latin1'),
    signal: AbortSignal.any([signal, deadline]),
    maxBytes: 4096,
  })
  if (result.spawnError !== null || result.aborted || result.code === 0) return null
  const [line = ''] = result.stderr
    .split('\n')
    .filter(each => /syntax|unexpected|unterminated/i.test(each))
  return line ? oneLine(line.replace(/^\S{1,200}: (?:line )?(?=\d)/, 'line '), 160) : null
}

const hasDocument = (line: string): boolean => line.includes('<<')

/** Finds the first line at which the script certainly ends, if there is one; the code is -1 for an unknown status. */
const firstExit = async (
  lines: readonly string[],
  shell: string,
  context: ScriptContext,
): Promise<{ readonly line: number; readonly code: number } | 'unknown' | null> => {
  let examined = 0
  for (const [index, line] of lines.entries()) {
    const match =
      /^(?:exit(?:[ \t]+(\d{1,3}))?[ \t]*(?:[;#].*)?|exec[ \t]+[^<>&\s\d].*)$/.exec(line)
    if (!match) continue
    // The end of a here-document is not searched for
    if (examined++ >= maxPrefixes || lines.slice(0, index).some(hasDocument))
      return 'unknown'
    if (await isInside(lines, index, shell, context)) continue
    return { line: index, code: match[1] === undefined ? -1 : Number(match[1]) }
  }
  return null
}

/** Whether a line belongs to a command that began before: a block, a function, a string. */
const isInside = async (
  lines: readonly string[],
  index: number,
  shell: string,
  context: ScriptContext,
): Promise<boolean> => {
  const before = lines.slice(0, index)
  const last = before.findLast(line => line.trim() !== '') ?? ''
  if (/(?:\\|\||&&|\|\|)[ \t]*$/.test(last)) return true
  return (await syntaxError(before.join('\n'), shell, context)) !== null
}

/** Words at the start of a line that are no program. */
const shellWords = new Set(
  '. : [ [[ { ( ! alias bg bind break builtin caller case cd command compgen complete continue declare dirs do done echo elif else enable esac eval exec exit export false fc fg fi for function getopts hash help history if in jobs kill let local logout mapfile popd printf print pushd pwd read readarray readonly return select set shift shopt source suspend test then time times trap true type typeset ulimit umask unalias unset until wait while'.split(
    ' ',
  ),
)

/**
 * Finds a program that does not exist where its failure ends the script with an error: after set -e, behind exec, or in
 * the last line. Only plain lines that are executed in every run are considered.
 */
const missingCommand = async (
  lines: readonly string[],
  shell: Shell,
  context: ScriptContext,
): Promise<string | null> => {
  const text = lines.join('\n')
  // What these do to the search for programs cannot be seen
  if (
    /\b(?:PATH|eval|source|function|hash|trap|nix-shell)\b|^[ \t]*\.[ \t]|\(\)|<</m.test(
      text,
    )
  )
    return null
  const lastLine = lines.findLastIndex(line => /^[^#\s]/.test(line))
  let endsOnError = shell.endsOnError
  for (const [index, line] of lines.entries()) {
    if (/^set[ \t]+(?:-\w*e|-o[ \t]+errexit)/.test(line)) endsOnError = true
    if (/^set[ \t]+\+/.test(line)) return null
    const match = /^(exec[ \t]+)?([\w./-]+)(?=[ \t]|$)/.exec(line)
    const name = match?.[2] ?? ''
    if (!match || /[|&;]|\\$/.test(line) || shellWords.has(name) || /^[\d-]/.test(name))
      continue
    if (!match[1] && !endsOnError && index !== lastLine) continue
    if (await hasProgram(name, context)) continue
    if (await isInside(lines, index, shell.path, context)) continue
    return `runs ${oneLine(name, 80)} in line ${index + 1}, which ${name.includes('/') ? 'does not exist' : 'is not in the PATH of nix-daemon'}`
  }
  return null
}

/** True also where it cannot be known. */
const hasProgram = async (
  name: string,
  { localSystem, path }: ScriptContext,
): Promise<boolean> => {
  if (name.includes('/'))
    return !name.startsWith('/') || (await localSystem.stat(name)) !== null
  if (path === null) return true
  for (const directory of path.split(':').filter(Boolean))
    if ((await localSystem.stat(join(directory, name))) !== null) return true
  return false
}
