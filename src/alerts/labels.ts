import { sanitize } from '../text/sanitize.ts'
import { trimEnd } from '../text/trim-end.ts'

export type Labels = Readonly<Record<string, string>>

const maxBytes = 1024

/** Normalizes labels for receivers: sorted by name, sanitized UTF-8, without empty values, values up to 1 KiB. */
export const normalizeLabels = (labels: Labels): Labels =>
  Object.fromEntries(
    Object.entries(labels)
      .map(([name, value]) => [name, normalizeValue(value)] as const)
      .filter(([, value]) => value !== '')
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  )

/** Truncates long values. They end in a digest of the full value, so that values with the same prefix stay distinct. */
const normalizeValue = (value: string): string => {
  const text = sanitize(value, value.length)
  if (Buffer.byteLength(text) <= maxBytes) return text
  const cut = trimEnd(
    Buffer.from(text)
      .subarray(0, maxBytes - 20)
      .toString(),
    '\uFFFD',
  )
  return `${cut}…${hex(fnv1a([text]))}`
}

/** Computes the fingerprint of a label set like `model.LabelSet.Fingerprint` of Prometheus and Alertmanager. */
export const computeFingerprint = (labels: Labels): string =>
  hex(
    fnv1a(
      Object.entries(labels)
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .flat(),
    ),
  )

/** 64-bit FNV-1a over strings, each followed by the byte 255. */
const fnv1a = (texts: readonly string[]): bigint => {
  let hash = 14695981039346656037n
  const add = (byte: number) => {
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 1099511628211n)
  }
  for (const text of texts) {
    for (const byte of Buffer.from(text)) add(byte)
    add(255)
  }
  return hash
}

const hex = (hash: bigint): string => hash.toString(16).padStart(16, '0')
