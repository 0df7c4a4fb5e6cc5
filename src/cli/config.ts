import { loadConfig } from '../config/config.ts'
import { loadWebConfig } from '../config/web-config.ts'
import { knowledge } from './knowledge.ts'
import { UsageError, type Io } from './io.ts'
import { parse } from './parse.ts'

export const defaultConfigPath = '/etc/builder-monitor/config.json'

/** Where our configuration is, and whether the user named it: a named file must exist. */
export const configPath = (
  option: string | boolean | undefined,
  env: Io['env'],
): { readonly path: string; readonly named: boolean } => {
  const named = typeof option === 'string' ? option : env['BUILDER_MONITOR_CONFIG']
  return named ? { path: named, named: true } : { path: defaultConfigPath, named: false }
}

/** The web configuration file, if there is one: `--web.config.file`, else BUILDER_MONITOR_WEB_CONFIG. */
export const webConfigPath = (
  option: string | boolean | undefined,
  env: Io['env'],
): string | null =>
  typeof option === 'string' ? option : env['BUILDER_MONITOR_WEB_CONFIG'] || null

/**
 * `config check [FILE] [--web.config.file FILE]`: every error of our own configuration and of a web configuration file at
 * once, with its JSON path or line. Exit 0 or 1.
 */
export const configCommand = async (args: readonly string[], io: Io): Promise<number> => {
  const { values, positionals } = parse(args, {
    config: { type: 'string' },
    'web.config.file': { type: 'string' },
  })
  const [what, file, ...more] = positionals
  if (what !== 'check' || more.length > 0)
    throw new UsageError(
      'say: builder-monitor config check [FILE] [--web.config.file FILE]',
    )
  const { path, named } = configPath(file ?? values['config'], io.env)
  const checked = await loadConfig(path, !named, knowledge)
  if (checked.ok) io.out(`${path}: good\n`)
  else for (const error of checked.errors) io.err(`${error}\n`)
  const webPath = webConfigPath(values['web.config.file'], io.env)
  const isWebGood = webPath === null || (await checkWeb(webPath, io))
  return checked.ok && isWebGood ? 0 : 1
}

const checkWeb = async (path: string, io: Io): Promise<boolean> => {
  const web = await loadWebConfig(path)
  const told = web.ok ? web.warnings.map(one => `${one} (warning)`) : web.errors
  for (const sentence of told) io.err(`${sentence}\n`)
  if (web.ok) io.out(`${path}: good\n`)
  return web.ok
}
