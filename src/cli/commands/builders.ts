import { defineCommand } from '../command.ts'
import { jsonOption } from './options.ts'

export const builders = defineCommand({
  name: 'builders',
  summary: 'print the active builders as Nix reads them',
  options: { json: jsonOption },
  example: 'builder-monitor builders',
  exitCodes: '0, 1 an error in the list, 3 usage error',
  run: async (options, _, io) =>
    (await import('../builders.ts')).buildersCommand(options, io),
})
