import { choice, defineCommand, flag } from '../command.ts'
import { configOption, jsonOption } from './options.ts'

export const check = defineCommand({
  name: 'check',
  summary: 'check every builder once and print what is wrong',
  argument: ['[BUILDER...]', 'only these builders, by name or store URI'],
  options: {
    json: jsonOption,
    canary: flag('--canary', 'verify each builder with a build'),
    canaryMode: choice(
      '--canary-mode <MODE>',
      ['private', 'daemon'],
      'how canary builds are sent: with a private store (default; any user) or through the local nix-daemon',
    ),
    features: flag('--features', 'verify each advertised feature with a build, too'),
    debug: flag('--debug', 'print each step under its probe'),
    config: configOption,
  },
  example: 'sudo builder-monitor check --canary',
  exitCodes: '0 healthy, 1 degraded, 2 down, 3 unknown, usage error or no builder',
  run: async (options, builders, io) =>
    (await import('../check.ts')).checkCommand({ ...options, builders }, io),
})
