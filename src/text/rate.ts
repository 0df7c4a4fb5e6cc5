/** Formats bytes per second as `3.2 MiB/s`; a question mark for null. */
export const formatRate = (bytesPerSecond: number | null): string => {
  if (bytesPerSecond === null) return '?'
  const mebibytes = bytesPerSecond / 1024 ** 2
  return `${mebibytes < 10 ? mebibytes.toFixed(mebibytes < 0.1 ? 3 : 1) : Math.round(mebibytes)} MiB/s`
}

/** Formats a round trip as `0.3 ms` or `120 ms`. */
export const formatRoundTrip = (seconds: number): string =>
  `${seconds < 0.01 ? (seconds * 1000).toFixed(1) : Math.round(seconds * 1000)} ms`
