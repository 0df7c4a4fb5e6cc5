import { sanitize } from '../text/sanitize.ts'
import { parseJson } from './settings.ts'

/** One line of Nix's stderr with `--log-format internal-json` (logging.cc JSONLogger). */
export type NixEvent =
  | {
      readonly type: 'start'
      /** pid * 2^32 + n, too large for a number. */
      readonly id: string
      readonly activity: number
      readonly text: string
      readonly fields: readonly string[]
    }
  | { readonly type: 'stop'; readonly id: string }
  | { readonly type: 'log'; readonly text: string }
  | { readonly type: 'message'; readonly level: number; readonly text: string }
  /** A line that is not from the logger: ssh or a hook wrote it directly to stderr. */
  | { readonly type: 'raw'; readonly text: string }

/** Activity numbers (logging.hh ActivityType). */
export const activities = { copyPath: 100, build: 105, buildWaiting: 111 } as const
const buildLogLine = 101

/** Parses one line; null for events without text (progress, phases). Never throws. */
export const parseNixEvent = (line: string): NixEvent | null => {
  if (!line.startsWith('@nix ')) {
    const text = sanitize(line)
    return text ? { type: 'raw', text } : null
  }
  const event = parseJson(line.slice(5))
  if (typeof event !== 'object' || event === null) return null
  const { action, id, text, msg, raw_msg, level, type, fields } = event as Record<
    string,
    unknown
  >
  const words = Array.isArray(fields) ? fields.map(String) : []
  switch (action) {
    case 'start':
      return {
        type: 'start',
        id: String(id),
        activity: Number(type),
        text: sanitize(string(text)),
        fields: words,
      }
    case 'stop':
      return { type: 'stop', id: String(id) }
    case 'result':
      return type === buildLogLine
        ? { type: 'log', text: sanitize(words[0] ?? '') }
        : null
    case 'msg':
      return {
        type: 'message',
        level: Number(level),
        text: sanitize(string(msg) || string(raw_msg), 4000),
      }
    default:
      return null
  }
}

const string = (value: unknown): string => (typeof value === 'string' ? value : '')

/** Converts internal-json to the text Nix prints without it: messages, build logs and raw lines. */
export const plainText = (stderr: string): string =>
  stderr
    .split('\n')
    .flatMap(line => {
      const event = parseNixEvent(line)
      return event && event.type !== 'start' && event.type !== 'stop' ? [event.text] : []
    })
    .join('\n')
