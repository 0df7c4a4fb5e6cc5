import { existsSync } from 'node:fs'
import { loadConfig } from '../config/config.ts'
import { configWarnings } from '../config/quarantine.ts'
import { loadWebConfig } from '../config/web/web-config.ts'
import { validationContext } from './validation-context.ts'
import type { Io } from './terminal.ts'

export const defaultConfigPath = '/etc/builder-monitor/config.json'

/** Returns the path of the configuration, and whether the user gave it: such a file must exist. */
export const resolveConfigPath = (
  option: string | undefined,
  env: Io['env'],
): { readonly path: string; readonly isExplicit: boolean } => {
  const isExplicit = option ?? env['BUILDER_MONITOR_CONFIG']
  return isExplicit
    ? { path: isExplicit, isExplicit: true }
    : { path: defaultConfigPath, isExplicit: false }
}

/** Returns the path of the web configuration file: `--web.config.file`, else BUILDER_MONITOR_WEB_CONFIG, else null. */
export const resolveWebConfigPath = (
  option: string | undefined,
  env: Io['env'],
): string | null => option ?? (env['BUILDER_MONITOR_WEB_CONFIG'] || null)

/** Prints every error of the configuration and of a web configuration file, with JSON path or line. Returns 0 or 1. */
export const configCheckCommand = async (
  options: {
    readonly config: string | undefined
    readonly webConfigFile: string | undefined
  },
  io: Io,
): Promise<number> => {
  const { path, isExplicit } = resolveConfigPath(options.config, io.env)
  const checked = await loadConfig(path, !isExplicit, validationContext)
  if (checked.ok)
    io.out(
      isExplicit || existsSync(path)
        ? `${path}: OK\n`
        : `${path} does not exist: the defaults are used\n`,
    )
  else for (const error of checked.errors) io.err(`${error}\n`)
  if (checked.ok)
    for (const warning of configWarnings(checked.config))
      io.err(`${path}: ${warning} (warning)\n`)
  const webPath = resolveWebConfigPath(options.webConfigFile, io.env)
  const isWebOk = webPath === null || (await checkWeb(webPath, io))
  return checked.ok && isWebOk ? 0 : 1
}

const checkWeb = async (path: string, io: Io): Promise<boolean> => {
  const web = await loadWebConfig(path)
  const messages = web.ok ? web.warnings.map(one => `${one} (warning)`) : web.errors
  for (const message of messages) io.err(`${message}\n`)
  if (web.ok) io.out(`${path}: OK\n`)
  return web.ok
}
