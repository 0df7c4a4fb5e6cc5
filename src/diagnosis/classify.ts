import type { Kind, Params } from '../model/index.ts'
import { sanitize } from '../text/sanitize.ts'
import { cutMiddle, oneLine } from '../text/truncate.ts'
import {
  capLine,
  consequential,
  definite,
  featureMismatch,
  generic,
  keyWarnings,
  matchRule,
  type MessageRule,
} from './message-rules.ts'

/** The kind of an error message, with the line it was found in. */
export interface Classified {
  readonly kind: Kind
  readonly params: Params
  readonly line: string
}

const maxTextChars = 256 * 1024

/**
 * Classifies the output of ssh and Nix: definite messages before generic ones, and the first line of each tier. Exit
 * codes are not used, because they are ambiguous. Null if no line is known. `source` is `remote` if the output contains
 * nothing from the local Nix, some of whose messages describe itself.
 */
export const classify = (
  text: string,
  source: 'client' | 'remote' = 'client',
): Classified | null => {
  const lines = sanitize(cutMiddle(text, maxTextChars), maxTextChars)
    .split('\n')
    .map(line => capLine(line).trim())
    .filter(Boolean)
  const failedAt = lines.findIndex(line =>
    /build of '[^']*' on '[^']*' failed/.test(line),
  )
  const remoteLines =
    source === 'remote' ? lines : failedAt < 0 ? [] : lines.slice(failedAt)
  const structured = buildsDisabled(remoteLines) ?? parseMissingBlock(remoteLines)
  for (const tier of [definite, null, generic, consequential]) {
    const result = tier ? firstMatch(lines, tier) : structured
    if (!result) continue
    if (result.kind === 'builder_hook_failed' && source === 'client' && failedAt < 0)
      return ownHook(result)
    if (result.kind === 'auth_denied') return firstMatch(lines, keyWarnings) ?? result
    return result
  }
  return null
}

/** The build itself succeeded, so the hook of this machine failed. */
const ownHook = ({ params, line }: Classified): Classified => ({
  kind: 'setting_broken',
  params: {
    setting: 'post-build-hook',
    value: params['program'] ?? '-',
    where: 'nix.conf',
    detail: params['detail'] ?? '',
  },
  line,
})

const firstMatch = (
  lines: readonly string[],
  rules: readonly MessageRule[],
): Classified | null => {
  for (const line of lines)
    for (const rule of rules) {
      const [, kind, params] = rule
      const match = matchRule(rule, line)
      if (!match) continue
      return refine({ kind, params: params?.(match) ?? {}, line }, lines)
    }
  return null
}

/** Completes a result with information from other lines. */
const refine = (result: Classified, lines: readonly string[]): Classified => {
  if (result.kind === 'feature_missing' && result.params['missingSystem'])
    return {
      ...result,
      kind: 'system_missing',
      params: {
        missing: result.params['missingSystem'],
        offered: result.params['offeredSystem'] ?? '-',
      },
    }
  if (result.kind === 'host_key_changed') {
    const offending = lines.find(line => /Offending \S+ key in/.test(line))
    // Nix writes a pinned key to a file of this name
    const pinned =
      offending !== undefined &&
      /\/(?:nix|builder-monitor)-[^/]+\/host-key:\d+/.test(offending)
    const params = offending ? { detail: oneLine(offending) } : {}
    return { ...result, kind: pinned ? 'host_key_mismatch' : 'host_key_changed', params }
  }
  if (result.kind === 'build_failed')
    return { ...result, params: { detail: innermostError(result.line, lines) } }
  return result
}

/** Lines that repeat that a build failed, or say where. */
const wrapper =
  /^(?:builder for '[^']*' failed with exit code|builder failed with exit code|Cannot build|Reason: builder failed|Output paths|Required |…|last \d+ log lines|For full logs|some outputs)/

/** Returns the message that matters: the first error behind `build of ... on ... failed:` that is no wrapper, without paths. */
const innermostError = (first: string, lines: readonly string[]): string => {
  const errors = lines.slice(Math.max(0, lines.indexOf(first))).flatMap(line => {
    const inner = line
      .replace(/^(?:error: ?)*(?:build of '[^']*' on '[^']*' failed:)? ?/, '')
      .replace(/^(?:error: ?)+/, '')
    const isError = inner !== line && inner !== '' && !wrapper.test(inner)
    return isError ? [inner] : []
  })
  const message = errors[0] ?? first.replace(/^.*' failed: /, '')
  return oneLine(message.replace(/ (?:for|of) '[^']*\.drv'/, ''))
}

/** max-jobs = 0 on the builder. A canary sets it locally, so only lines of the remote count. */
const buildsDisabled = (remoteLines: readonly string[]): Classified | null => {
  const line = remoteLines
    .slice(0, 4)
    .find(each => /[uU]nable to start any build|local builds are disabled/.test(each))
  return line === undefined ? null : { kind: 'builds_disabled', params: {}, line }
}

/** Parses the same from several lines (Nix 2.30 and newer). Trusted only in output of the remote (`build of ... on ... failed`). */
const parseMissingBlock = (lines: readonly string[]): Classified | null => {
  const value = (pattern: RegExp): string =>
    lines.map(line => pattern.exec(line)?.[1]).find(Boolean) ?? ''
  const [line = ''] = lines
  const required = value(/Required features: \{([^}]*)\}/)
  if (required)
    return {
      kind: 'feature_missing',
      params: featureMismatch('', required, '', value(/Available features: \{([^}]*)\}/)),
      line,
    }
  const system = value(/Required system: '?([\w-]+)/)
  if (system)
    return {
      kind: 'system_missing',
      params: { missing: system, offered: value(/Current system: '?([\w-]+)/) },
      line,
    }
  return null
}
