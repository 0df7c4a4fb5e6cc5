import { defineCommand } from '../command.ts'
import { socketOption } from './options.ts'

export const alertTest = defineCommand({
  name: 'alert test',
  summary: 'send a test alert to every configured receiver, from the running daemon',
  options: { socket: socketOption },
  example: 'sudo builder-monitor alert test',
  exitCodes:
    '0 all receivers accepted it, 1 one did not, 3 no receivers, usage error or no daemon',
  run: async (options, _, io) =>
    (await import('../alert.ts')).alertTestCommand(options, io),
})
