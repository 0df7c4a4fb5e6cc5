import type { Remote, Run, Trace } from '../model/index.ts'
import { parseNixEvent } from '../nix/internal-json.ts'
import { shellQuote } from '../nix/protocol/store-command.ts'

/** The same remote, whose commands and their ends are noted. */
export const traceRemote = (remote: Remote, trace: Trace): Remote => ({
  open: async (command, signal) => {
    trace('open a channel', command)
    try {
      const channel = await remote.open(command, signal)
      trace('the channel is open')
      void channel.exit.then(({ code, signal: name }) =>
        trace('the channel is over', code === null ? (name ?? 'closed') : `exit ${code}`),
      )
      return channel
    } catch (error) {
      trace('no channel', error instanceof Error ? error.message : String(error))
      throw error
    }
  },
})

/**
 * The same way to run programs, with each program noted: its words, the names of its environment without their values, what
 * it says on stderr (Nix's internal-json as people would read it), and its end.
 */
export const traceRun =
  (run: Run, trace: Trace): Run =>
  async request => {
    trace('run', [request.file, ...request.args].map(shellQuote).join(' '))
    const names = Object.entries(request.env ?? {}).flatMap(([name, value]) =>
      value === undefined ? [] : [name],
    )
    trace('with the environment', names.sort().join(' '))
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
      'it ended',
      spawnError ??
        (aborted ? 'killed, for its time was over' : `exit ${code ?? signal}`),
    )
    return result
  }
