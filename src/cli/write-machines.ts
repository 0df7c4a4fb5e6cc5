import { loadConfig } from '../config/config.ts'
import { readLocalBuilders } from '../engine/local-builders.ts'
import { createMachinesFile } from '../quarantine/write-machines-file.ts'
import { createRun } from '../transport/run.ts'
import { resolveConfigPath } from './config.ts'
import type { Io } from './terminal.ts'
import { validationContext } from './validation-context.ts'

/**
 * Writes a machines file with all builders, after a crash of the monitor. Without a path the configured one; nothing to do
 * where none is. Returns 1 if it is not written.
 */
export const writeMachinesCommand = async (
  options: { readonly config: string | undefined; readonly path: string | undefined },
  io: Io,
): Promise<number> => {
  const path = options.path ?? (await configuredPath(options.config, io))
  if (path === null) return 0
  const { builders, problems } = await readLocalBuilders(createRun(), io.env, io.signal)
  let failure: string | null = problems.some(({ isFatal }) => isFatal)
    ? 'the builders list is malformed'
    : null
  const file = createMachinesFile({
    info: () => undefined,
    warn: (fields, message) => {
      failure = `${message}${'error' in fields ? ` (${String(fields['error'])})` : ''}`
    },
  })
  if (failure === null) file.update(path, builders, () => false)
  if (failure === null) return 0
  io.err(`builder-monitor: ${path}: ${failure}\n`)
  return 1
}

const configuredPath = async (
  option: string | undefined,
  { env }: Io,
): Promise<string | null> => {
  const { path, isExplicit } = resolveConfigPath(option, env)
  const loaded = await loadConfig(path, !isExplicit, validationContext)
  return loaded.ok ? (loaded.config.quarantine.machinesFile ?? null) : null
}
