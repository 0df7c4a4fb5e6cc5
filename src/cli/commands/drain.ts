import { defineCommand, flag, text } from '../command.ts'
import { socketOption } from './options.ts'

export const drain = defineCommand({
  name: 'drain',
  summary: 'keep builds away from builders; running builds go on',
  argument: ['<BUILDER...>', 'names, as builder-monitor builders prints them'],
  options: {
    for: text('--for <DURATION>', 'end by itself after this time: 90s, 30m, 2h, 7d'),
    reason: text('--reason <TEXT>', 'shown in status, page, log and metrics'),
    wait: flag('--wait', 'return when no build of this machine runs there any more'),
    socket: socketOption,
  },
  example: "sudo builder-monitor drain builder1 --for 2h --reason 'new disk' --wait",
  exitCodes:
    '0 drained, 1 drained but builds are not kept away, 3 usage error, no such builder or no daemon',
  run: async (options, builders, io) =>
    (await import('../drain.ts')).drainCommand({ ...options, builders }, io),
})

export const undrain = defineCommand({
  name: 'undrain',
  summary: 'end a drain',
  argument: ['<BUILDER...>', 'names'],
  options: { socket: socketOption },
  example: 'sudo builder-monitor undrain builder1',
  exitCodes: '0 ended, 3 usage error, not drained or no daemon',
  run: async (options, builders, io) =>
    (await import('../drain.ts')).undrainCommand({ ...options, builders }, io),
})
