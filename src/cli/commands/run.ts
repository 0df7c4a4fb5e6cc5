import { logFormats, logLevels } from '../../log/options.ts'
import {
  choice,
  defineCommand,
  flag,
  hidden,
  list,
  text,
  type CliCommand,
} from '../command.ts'
import type { TestOverrides } from '../run.ts'
import { configOption, webConfigOption } from './options.ts'

const options = {
  config: configOption,
  listen: list(
    '--listen <ADDRESS>',
    'serve HTTP here: host:port or unix:/path; repeatable',
  ),
  webConfigFile: webConfigOption,
  logFormat: choice(
    '--log-format <FORMAT>',
    logFormats,
    'auto is pretty on a terminal, else json',
  ),
  logLevel: choice('--log-level <LEVEL>', logLevels, 'default: info'),
  orDemo: hidden(flag('--or-demo', 'run the demo if no builder is configured')),
  demoBuilders: hidden(text('--demo-builders <COUNT>', 'demo with this many builders')),
}

const exitCodes =
  '0 stopped, 1 cannot start, 3 usage error, 78 the configuration is invalid'

export const createRunCommand = (overrides: TestOverrides = {}): CliCommand =>
  defineCommand({
    name: 'run',
    summary: 'run the daemon: status page and /metrics on 127.0.0.1:10922',
    options,
    example: 'builder-monitor run --listen 127.0.0.1:10922 --listen [::1]:10922',
    exitCodes,
    run: async (values, _, io) => {
      // A restart must not interrupt a drain while the other code is loaded
      const earlyHold = await (await import('../hold-early.ts')).holdDrainsEarly(io)
      try {
        const { runCommand } = await import('../run.ts')
        return await runCommand({ ...values, demo: false }, io, {
          ...overrides,
          earlyHold,
        })
      } finally {
        earlyHold?.close()
      }
    },
  })

export const demo = defineCommand({
  name: 'demo',
  summary: 'run the daemon on the demo fleet: five SSH servers in different states',
  options,
  example: 'builder-monitor demo',
  exitCodes,
  run: async (values, _, io) =>
    (await import('../run.ts')).runCommand({ ...values, demo: true }, io),
})
