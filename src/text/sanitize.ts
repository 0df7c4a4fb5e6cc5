const escape = String.fromCharCode(27)
const bell = String.fromCharCode(7)

/** CSI and OSC sequences, and two-byte escapes. Linear time for any input. */
const ansi = new RegExp(
  `${escape}(?:\\[[0-?]*[ -/]*[@-~]|\\][^${bell}${escape}]*(?:${bell}|${escape}\\\\)?|[@-Z\\\\^_])`,
  'gu',
)

/** Control characters, and invisible ones that reorder or hide text; newline and tab stay. */
const unprintable = /[^\P{C}\n\t]|[\u2028\u2029]/gu

/**
 * Sanitizes remote text for a terminal, a page or a log: removes escape sequences, control and direction characters,
 * trims it and cuts it to `maxChars`.
 */
export const sanitize = (raw: string | Uint8Array, maxChars = 1000): string =>
  (typeof raw === 'string' ? raw : Buffer.from(raw).toString('utf8'))
    .replaceAll('\r\n', '\n')
    .replace(ansi, '')
    .replace(unprintable, '')
    .trim()
    .slice(0, maxChars)
    .replace(/\p{Cs}/gu, '')
