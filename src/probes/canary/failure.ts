import { classify } from '../../diagnosis/classify.ts'
import { kindState } from '../../diagnosis/kinds/index.ts'
import type { Kind, Params, RunResult } from '../../model/index.ts'
import { plainText } from '../../nix/internal-json.ts'
import { oneLine } from '../../text/truncate.ts'
import type { BuildLogParser } from './build-log.ts'

/** Errors that Nix prints before its hook connects are not the builder's, whatever they look like. */
const isBeforeHook = (kind: Kind | undefined): boolean =>
  kind === undefined || kind === 'build_failed' || kind === 'unclassified'

/** Returns why a canary build failed, from its log and its exit. `busy`: it is not an error of the builder. */
export const classifyFailure = (
  result: RunResult,
  buildLog: BuildLogParser,
  signal: AbortSignal,
): { kind: Kind; params: Params; busy?: boolean } => {
  const observed = buildLog.summary()
  if (result.spawnError)
    return { kind: 'no_local_nix', params: { detail: result.spawnError } }
  if (signal.aborted) {
    if (observed.waitingFor) return { kind: observed.waitingFor, params: {}, busy: true }
    const classified = classify(observed.text)
    if (classified && classified.kind !== 'build_failed') return classified
    return {
      kind: 'build_timeout',
      params: { detail: `it hangs ${observed.stage}`, hangs: observed.stage },
    }
  }
  if (result.code === 0)
    return {
      kind: 'build_failed',
      params: { detail: 'Nix reports success, but the output is not from this builder' },
    }
  const classified = classify(observed.text) ?? classify(result.stderr)
  if (observed.stage === 'before connecting' && isBeforeHook(classified?.kind))
    return {
      kind: 'hook_broken',
      params: classified?.params ?? {
        detail: oneLine(lastLine(plainText(result.stderr))),
      },
    }
  // The login probe decides whether sshd is closed; an additional ssh can be rejected by sshd's limit
  if (classified?.kind === 'sshd_closed')
    return { kind: 'sshd_throttled', params: classified.params, busy: true }
  // Rejected by sshd's limit, or waiting: not an error of the builder
  if (classified && kindState(classified.kind) === 'info')
    return { ...classified, busy: true }
  return (
    classified ?? {
      kind: 'unclassified',
      params: { detail: oneLine(lastLine(plainText(result.stderr))) },
    }
  )
}

/** Returns the last line of an output. */
export const lastLine = (text: string): string => text.trim().split('\n').at(-1) ?? ''
