import { defineCommand } from '../command.ts'

export const explain = defineCommand({
  name: 'explain',
  summary: 'print what a kind or an alert means, how to see it and how to fix it',
  argument: [
    '<KIND>',
    'a kind, which check and status print in brackets: tcp_refused; or an alert: NixBuilderDown',
  ],
  options: {},
  example: 'builder-monitor explain host_key_changed',
  exitCodes: '0, 3 usage error, no such kind or alert',
  run: async (_, [kind = ''], io) =>
    (await import('../explain.ts')).explainCommand(kind, io),
})
