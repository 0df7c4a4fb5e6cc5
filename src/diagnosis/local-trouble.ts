import { tmpdir } from 'node:os'
import type { Kind, Outcome } from '../model/index.ts'
import { oneLine } from '../text/truncate.ts'

/** A failure of this machine before a builder was asked. It says nothing about the builder. */
export type LocalTrouble = Extract<Outcome<never>, { status: 'skipped' }>

/** Error codes (errno(3)) of this machine's own limits. No builder causes them. */
const kindByCode: Readonly<Record<string, Kind>> = {
  EMFILE: 'client_resources',
  ENFILE: 'client_resources',
  EAGAIN: 'client_resources',
  ENOMEM: 'client_resources',
  ENOSPC: 'client_disk_full',
  EDQUOT: 'client_disk_full',
}

/** Codes of a temporary directory that does not exist or is not writable. */
const tempCodes: ReadonlySet<string> = new Set([
  'ENOENT',
  'ENOTDIR',
  'EACCES',
  'EPERM',
  'EROFS',
  'ELOOP',
])

/** Returns the kind of an error code of a socket or a program; null when a remote side can cause it. */
export const localTrouble = (code: string | null, detail = ''): LocalTrouble | null => {
  const kind = code === null ? undefined : kindByCode[code]
  return kind === undefined ? null : trouble(kind, detail || (code ?? ''))
}

/** Returns the kind of an exception of node:fs in a temporary directory, null for another exception. */
export const tempTrouble = (error: unknown): LocalTrouble | null => {
  if (!(error instanceof Error)) return null
  const { code = '', syscall } = error as NodeJS.ErrnoException
  if (syscall === undefined) return null
  const isTemp = tempCodes.has(code) && /^(?:mkdtemp|mkdir|open|write)$/.test(syscall)
  return isTemp
    ? trouble('client_temp_unusable', error.message)
    : localTrouble(code, error.message)
}

const trouble = (kind: Kind, detail: string): LocalTrouble => ({
  status: 'skipped',
  kind,
  params: { detail: oneLine(detail), path: tmpdir(), available: '0 B' },
})
