import { defineCommand } from '../command.ts'
import { configOption } from './options.ts'

export const writeMachines = defineCommand({
  name: 'write-machines',
  summary: 'write a machines file with all builders, after a crash of the monitor',
  argument: ['[FILE]', 'the file (default: quarantine.machinesFile)'],
  options: { config: configOption },
  example: 'builder-monitor write-machines /run/builder-monitor/machines',
  exitCodes: '0 written or none configured, 1 not written, 3 usage error',
  run: async (options, [path], io) =>
    (await import('../write-machines.ts')).writeMachinesCommand({ ...options, path }, io),
})
