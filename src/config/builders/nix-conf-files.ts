import { dirname, isAbsolute, join, resolve } from 'node:path'
import type { Origin, Problem } from '../../model/index.ts'
import type { NixDialect } from '../../nix/dialect.ts'
import { configConsequence, parseStatements } from '../../nix/nix-conf.ts'
import { quote } from '../../nix/text.ts'
import { createIncludes } from './includes.ts'
import type { TextSource } from './text-source.ts'

export type Env = Readonly<Record<string, string | undefined>>

/** The last assignment of a setting. */
export interface SettingAssignment {
  readonly value: string
  readonly origin: Origin
}

/** Settings from Nix's configuration files and environment variables. */
export interface NixFiles {
  /** Path of the system's nix.conf, which can be missing. */
  readonly main: string
  /** `main` and the files it includes, existing or not. */
  readonly system: readonly string[]
  readonly settings: ReadonlyMap<string, SettingAssignment>
  readonly problems: readonly Problem[]
}

/**
 * Reads nix.conf, the user's files and NIX_CONFIG in the order in which Nix applies them (globals.cc loadConfFile): later
 * assignments win. Ignores missing and unreadable files, as Nix does. Never rejects.
 */
export const readNixFiles = async (
  source: TextSource,
  env: Env,
  dialect: NixDialect,
): Promise<NixFiles> => {
  const settings = new Map<string, SettingAssignment>()
  const problems: Problem[] = []
  const includes = createIncludes(source, problems, configConsequence)
  const directory = env['NIX_CONF_DIR'] || '/etc/nix'
  const main = join(directory, 'nix.conf')

  const apply = async (text: string, file: string, includeStack: readonly string[]) => {
    for (const statement of parseStatements(text)) {
      const origin = { file, line: statement.line }
      if (!includes.consumeBudget(origin, statement.line)) return
      if (statement.kind === 'error')
        problems.push({ ...origin, message: statement.message, isFatal: true })
      else if (statement.kind === 'set')
        settings.set(statement.name, { value: statement.value, origin })
      else if (includeStack.length === 0 && !isAbsolute(statement.path))
        includes.addFatalProblem(
          origin,
          `${quote(statement.path)} is not an absolute path`,
        )
      else
        await include(
          resolve(dirname(file), statement.path),
          origin,
          statement.optional,
          includeStack,
        )
    }
  }

  const include = async (
    path: string,
    origin: Origin,
    optional: boolean,
    includeStack: readonly string[],
  ) => {
    const code = await includes.open(path, origin, includeStack, (text, stack) =>
      apply(text, path, stack),
    )
    if (code !== null && !optional && isMissing(code))
      includes.addFatalProblem(origin, `the included file ${quote(path)} does not exist`)
  }

  let system: readonly string[] = []
  for (const file of [main, ...userFiles(env, dialect)]) {
    const path = resolve('/', file)
    await include(path, { file: path, line: 1 }, true, [])
    if (file === main) system = [...source.files]
  }
  if (env['NIX_CONFIG'] !== undefined) await apply(env['NIX_CONFIG'], 'NIX_CONFIG', [])
  return { main, system, settings, problems }
}

/** Returns the default of `builders` (globals.cc): NIX_REMOTE_SYSTEMS or the machines file. */
export const defaultBuilders = (env: Env, dialect: NixDialect): SettingAssignment => {
  const list = env['NIX_REMOTE_SYSTEMS']
  if (list === undefined)
    return {
      value: `@${join(env['NIX_CONF_DIR'] || '/etc/nix', 'machines')}`,
      origin: { file: 'builders setting', line: 1 },
    }
  const paths = list.split(':').filter(path => path !== '')
  return {
    value: paths.map(path => `@${path}`).join(dialect.joinsByNewline ? '\n' : ' '),
    origin: { file: 'NIX_REMOTE_SYSTEMS', line: 1 },
  }
}

/** Whether an error code means that the file does not exist, as in Nix. */
export const isMissing = (code: string): boolean =>
  code === 'ENOENT' || code === 'ENOTDIR'

/** Returns the user's files in increasing priority. */
const userFiles = (env: Env, dialect: NixDialect): readonly string[] => {
  const list = env['NIX_USER_CONF_FILES']
  if (list !== undefined) return split(list).reverse()
  const home = env['XDG_CONFIG_HOME'] || (env['HOME'] && join(env['HOME'], '.config'))
  const homeDirs =
    dialect.configHome && env['NIX_CONFIG_HOME']
      ? [env['NIX_CONFIG_HOME']]
      : home
        ? [join(home, 'nix')]
        : []
  const sharedDirs = split(env['XDG_CONFIG_DIRS'] || '/etc/xdg').map(path =>
    join(path, 'nix'),
  )
  return [...homeDirs, ...sharedDirs].map(path => join(path, 'nix.conf')).reverse()
}

const split = (list: string): string[] => list.split(':').filter(path => path !== '')
