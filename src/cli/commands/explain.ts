import { defineCommand } from '../command.ts'

export const explain = defineCommand({
  name: 'explain',
  summary: 'print what a kind means, how to see it and how to fix it',
  argument: ['<KIND>', 'one of docs/kinds.md'],
  options: {},
  example: 'builder-monitor explain host_key_changed',
  exitCodes: '0, 3 usage error or no such kind',
  run: async (_, [kind = ''], io) =>
    (await import('../explain.ts')).explainCommand(kind, io),
})
