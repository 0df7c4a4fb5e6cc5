import { defineCommand } from '../command.ts'
import { configOption, webConfigOption } from './options.ts'

export const configCheck = defineCommand({
  name: 'config check',
  summary: 'validate the configuration file and a web configuration file',
  argument: ['[FILE]', 'configuration file, as --config'],
  options: { config: configOption, webConfigFile: webConfigOption },
  example: 'builder-monitor config check /etc/builder-monitor/config.json',
  exitCodes: '0 valid, 1 invalid, 3 usage error',
  run: async (options, [file], io) =>
    (await import('../config.ts')).configCheckCommand(
      { ...options, config: file ?? options.config },
      io,
    ),
})
