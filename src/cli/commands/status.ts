import { defineCommand } from '../command.ts'
import { jsonOption, socketOption } from './options.ts'

export const status = defineCommand({
  name: 'status',
  summary: 'print the state known to the running daemon',
  argument: ['[BUILDER...]', 'only these builders, by name'],
  options: { json: jsonOption, socket: socketOption },
  example: 'sudo builder-monitor status',
  exitCodes: '0 healthy, 1 degraded, 2 down, 3 unknown, usage error or no daemon',
  run: async (options, builders, io) =>
    (await import('../status.ts')).statusCommand({ ...options, builders }, io),
})
