import { flag, text } from '../command.ts'

/** Options that several commands have. */
export const jsonOption = flag('--json', 'print one JSON object')
export const socketOption = text(
  '--socket <PATH>',
  'control socket of the daemon (default: control.sock in its runtime directory)',
)
export const configOption = text(
  '--config <FILE>',
  'configuration file (default: /etc/builder-monitor/config.json)',
)
export const webConfigOption = text(
  '--web.config.file <FILE>',
  'web configuration file (TLS and passwords), in the format of Prometheus exporters',
)
