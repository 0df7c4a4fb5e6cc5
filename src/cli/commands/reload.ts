import { defineCommand } from '../command.ts'
import { socketOption } from './options.ts'

export const reload = defineCommand({
  name: 'reload',
  summary: 'reload the configuration and the builders of the running daemon',
  options: { socket: socketOption },
  example: 'sudo builder-monitor reload',
  exitCodes: '0 reloaded, 1 the new configuration is invalid, 3 usage error or no daemon',
  run: async (options, _, io) =>
    (await import('../reload.ts')).reloadCommand(options, io),
})
