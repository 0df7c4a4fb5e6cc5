const escape = String.fromCharCode(27)
const bell = String.fromCharCode(7)

/** CSI and OSC sequences, and the two-byte escapes; linear, whatever a remote sends. */
const ansi = new RegExp(
  `${escape}(?:\\[[0-?]*[ -/]*[@-~]|\\][^${bell}${escape}]*(?:${bell}|${escape}\\\\)?|[@-Z\\\\^_])`,
  'gu',
)

/** Controls, and the invisible characters that turn or hide text; newline and tab stay. */
const unprintable = /[^\P{C}\n\t]|[\u2028\u2029]/gu

/**
 * Remote text made fit for a terminal, a page and a log: without escape sequences, control and direction characters,
 * trimmed and at most `maxChars` long.
 */
export const sanitize = (raw: string | Uint8Array, maxChars = 1000): string =>
  (typeof raw === 'string' ? raw : Buffer.from(raw).toString('utf8'))
    .replaceAll('\r\n', '\n')
    .replace(ansi, '')
    .replace(unprintable, '')
    .trim()
    .slice(0, maxChars)
    .replace(/\p{Cs}/gu, '')
