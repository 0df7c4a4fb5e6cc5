import { loadConfig } from '../config/config.ts'
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

/** `config check [FILE]`: every error at once with its JSON path. Exit 0 or 1. */
export const configCommand = async (args: readonly string[], io: Io): Promise<number> => {
  const { values, positionals } = parse(args, { config: { type: 'string' } })
  const [what, file, ...more] = positionals
  if (what !== 'check' || more.length > 0)
    throw new UsageError('say: builder-monitor config check [FILE]')
  const { path, named } = configPath(file ?? values['config'], io.env)
  const checked = await loadConfig(path, !named, knowledge)
  if (!checked.ok) {
    for (const error of checked.errors) io.err(`${error}\n`)
    return 1
  }
  io.out(`${path}: good\n`)
  return 0
}
