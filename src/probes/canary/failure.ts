import type { Kind, Params, RunResult } from '../../model/index.ts'
import { classify } from '../../diagnosis/classify.ts'
import { kindState } from '../../diagnosis/kinds/index.ts'
import { localTrouble, type LocalTrouble } from '../../diagnosis/local-trouble.ts'
import { plainText } from '../../nix/internal-json.ts'
import { oneLine } from '../../text/truncate.ts'
import type { BuildLogParser } from './build-log.ts'

/**
 * Returns why the local Nix ended before it asked the builder, which is the trouble of this machine. `whileBuilding`: the
 * build hook was started already.
 */
export const localFailure = (result: RunResult, whileBuilding = false): LocalTrouble => {
  const text = plainText(result.stderr)
  const classified = classify(text)
  const skip = (kind: Kind, detail: string): LocalTrouble => ({
    status: 'skipped',
    kind,
    params: { detail: oneLine(detail) },
  })
  if (result.aborted) return skip('no_data', 'the local Nix did not answer in time')
  if (result.spawnError === 'ENOENT') return skip('no_local_nix', '')
  const detail = lastLine(text) || `exit code ${result.code ?? result.signal}`
  if (classified?.kind === 'disk_full') return skip('client_disk_full', detail)
  return (
    localTrouble(result.spawnError) ??
    skip(
      whileBuilding ? 'hook_broken' : 'client_nix_broken',
      classified?.params['detail'] ?? detail,
    )
  )
}

/** Kinds of failures before the builder is asked that its machine line or the settings cause: they concern the builder. */
const lineKinds: ReadonlySet<Kind> = new Set<Kind>([
  'config_invalid',
  'ssh_missing',
  'client_untrusted',
])

/** Returns whether nix-build failed by itself: it has not even tried to connect, and the machine line is not the reason. */
export const isLocalFailure = (result: RunResult, buildLog: BuildLogParser): boolean => {
  if (result.spawnError !== null) return true
  const { wasAsked, text } = buildLog.summary()
  if (wasAsked || result.code === 0 || result.aborted) return false
  const kind = classify(text)?.kind ?? classify(result.stderr)?.kind
  return kind === undefined || !lineKinds.has(kind)
}

/** Returns why a canary build failed. `busy`: the builder is not the cause. */
export const classifyFailure = (
  result: RunResult,
  buildLog: BuildLogParser,
  signal: AbortSignal,
): { kind: Kind; params: Params; busy?: boolean } => {
  const observed = buildLog.summary()
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

const lastLine = (text: string): string => text.trim().split('\n').at(-1) ?? ''
