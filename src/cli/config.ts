import { loadConfig } from '../config/config.ts'
import { loadWebConfig } from '../config/web/web-config.ts'
import { validationContext } from './validation-context.ts'
import { UsageError, type Io } from './terminal.ts'
import { parseArguments } from './arguments.ts'

export const defaultConfigPath = '/etc/builder-monitor/config.json'

/** Where our configuration is, and whether the user named it: a named file must exist. */
export const resolveConfigPath = (
  option: string | boolean | undefined,
  env: Io['env'],
): { readonly path: string; readonly isExplicit: boolean } => {
  const isExplicit = typeof option === 'string' ? option : env['BUILDER_MONITOR_CONFIG']
  return isExplicit
    ? { path: isExplicit, isExplicit: true }
    : { path: defaultConfigPath, isExplicit: false }
}

/** The web configuration file, if there is one: `--web.config.file`, else BUILDER_MONITOR_WEB_CONFIG. */
export const resolveWebConfigPath = (
  option: string | boolean | undefined,
  env: Io['env'],
): string | null =>
  typeof option === 'string' ? option : env['BUILDER_MONITOR_WEB_CONFIG'] || null

/**
 * `config check [FILE] [--web.config.file FILE]`: every error of our own configuration and of a web configuration file at
 * once, with its JSON path or line. Exit 0 or 1.
 */
export const configCommand = async (args: readonly string[], io: Io): Promise<number> => {
  const { values, positionals } = parseArguments(args, {
    config: { type: 'string' },
    'web.config.file': { type: 'string' },
  })
  const [subcommand, file, ...more] = positionals
  if (subcommand !== 'check' || more.length > 0)
    throw new UsageError(
      'say: builder-monitor config check [FILE] [--web.config.file FILE]',
    )
  const { path, isExplicit } = resolveConfigPath(file ?? values['config'], io.env)
  const checked = await loadConfig(path, !isExplicit, validationContext)
  if (checked.ok) io.out(`${path}: good\n`)
  else for (const error of checked.errors) io.err(`${error}\n`)
  const webPath = resolveWebConfigPath(values['web.config.file'], io.env)
  const isWebOk = webPath === null || (await checkWeb(webPath, io))
  return checked.ok && isWebOk ? 0 : 1
}

const checkWeb = async (path: string, io: Io): Promise<boolean> => {
  const web = await loadWebConfig(path)
  const messages = web.ok ? web.warnings.map(one => `${one} (warning)`) : web.errors
  for (const message of messages) io.err(`${message}\n`)
  if (web.ok) io.out(`${path}: good\n`)
  return web.ok
}
