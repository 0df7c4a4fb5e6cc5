/** Valid in a URL (RFC 3986 sub-delims), so that a redacted line still parses. */
export const redactedMark = '***'

/** `scheme://user:password@` (RFC 3986, 3.2.1). Shorter passwords than four characters are not secret. */
const passwordInUrl =
  /(\b[a-z][a-z0-9+.-]{0,30}:\/\/[^\s/?#@:'"]{0,256}:)[^\s/?#'"]{4,512}@/gi
const assignment = /(?<![\w-])[\w-]{1,128}(?:\s{0,4}=\s{0,4}|%3d)/gi
const secretName =
  /secret|passw(?:or)?d|passphrase|token|credential|(?:api|access|private)[-_]?key/i
/** Settings with several values separated by spaces (nix.conf, RFC 9110). Nix prints them without `=` in some errors. */
const restOfLine =
  /((?:access-tokens(?:[ \t]{0,4}=|[ \t])|authorization:)[ \t]{0,4})[^\n'"]+/gi

/**
 * Redacts passwords in URLs, and values of names such as secret, token or password (`AWS_SECRET_ACCESS_KEY=...`,
 * `?token=...`, `access-tokens = ...`). Returns other text unchanged.
 */
export const redactSecrets = (text: string): string =>
  redactAssignments(
    text
      .replace(passwordInUrl, `$1${redactedMark}@`)
      .replace(restOfLine, `$1${redactedMark}`),
  )

const redactAssignments = (text: string): string => {
  let redacted = ''
  let from = 0
  for (const { 0: name, index } of text.matchAll(assignment)) {
    const start = index + name.length
    if (start < from || !secretName.test(name)) continue
    const value = /^(?:"[^"\n]*"?|'[^'\n]*'?|[^\s&'"]*)/.exec(
      text.slice(start, start + 2048),
    )
    const length = value?.[0].length ?? 0
    if (length === 0) continue
    redacted += text.slice(from, start) + redactedMark
    from = start + length
  }
  return from === 0 ? text : redacted + text.slice(from)
}
