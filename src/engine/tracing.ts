import type { Remote, Run, Trace } from '../model/index.ts'
import { parseNixEvent } from '../nix/internal-json.ts'
import { shellQuote } from '../nix/protocol/store-command.ts'

/** Wraps a remote so that commands and their exits are traced. */
export const traceRemote = (remote: Remote, trace: Trace): Remote => ({
  open: async (command, signal) => {
    trace('open channel', command)
    try {
      const channel = await remote.open(command, signal)
      trace('channel open')
      void channel.exit.then(({ code, signal: name }) =>
        trace('channel closed', code === null ? (name ?? 'closed') : `exit ${code}`),
      )
      return channel
    } catch (error) {
      trace('cannot open channel', error instanceof Error ? error.message : String(error))
      throw error
    }
  },
})

/**
 * Wraps `run` so that each program is traced: its command line, the names of its environment variables without their
 * values, its stderr (the text of Nix's internal-json), and its exit.
 */
export const traceRun =
  (run: Run, trace: Trace): Run =>
  async request => {
    trace('run', [request.file, ...request.args].map(shellQuote).join(' '))
    const names = Object.entries(request.env ?? {}).flatMap(([name, value]) =>
      value === undefined ? [] : [name],
    )
    trace('environment', names.sort().join(' '))
    const result = await run({
      ...request,
      onStderrLine: line => {
        request.onStderrLine?.(line)
        const event = parseNixEvent(line)
        if (event && event.type !== 'stop' && event.text) trace('stderr', event.text)
      },
    })
    const { code, signal, spawnError, aborted } = result
    trace(
      'exit',
      spawnError ?? (aborted ? 'killed at the deadline' : String(code ?? signal)),
    )
    return result
  }
