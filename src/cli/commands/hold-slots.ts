import { defineCommand, text } from '../command.ts'

export const holdSlots = defineCommand({
  name: 'hold-slots',
  summary: "hold Nix's slot locks of drained and quarantined builders for the daemon",
  options: {
    socket: text(
      '--socket <PATH>',
      'unix socket to listen on; by default the one that systemd passes',
    ),
  },
  example: 'sudo builder-monitor hold-slots --socket /run/builder-monitor-slots.sock',
  exitCodes: '0 stopped, 1 cannot start, 3 usage error',
  run: async (options, _, io) =>
    (await import('../hold-slots.ts')).holdSlotsCommand(options, io),
})
