import { binary, concat, list, text, word } from './wire-writer.ts'

/** EXPORT_MAGIC of export-import.cc. */
const exportMagic = 0x4558494e

/** A store path that is one regular file. */
export interface ExportedFile {
  readonly path: string
  readonly contents: string | Uint8Array
  readonly isExecutable?: boolean
}

/**
 * Encodes regular files as `nix-store --export` does for paths without references and deriver (export-import.cc exportPath,
 * archive.cc). `nix-store --import` accepts them unsigned into a store that the caller owns.
 */
export const exportFiles = (files: readonly ExportedFile[]): Buffer =>
  concat(...files.map(exportFile), word(0))

const exportFile = ({ path, contents, isExecutable = false }: ExportedFile): Buffer =>
  concat(
    word(1),
    ...['nix-archive-1', '(', 'type', 'regular'].map(text),
    ...(isExecutable ? ['executable', ''] : []).map(text),
    text('contents'),
    binary(typeof contents === 'string' ? Buffer.from(contents, 'utf8') : contents),
    text(')'),
    word(exportMagic),
    text(path),
    list([]),
    text(''),
    word(0),
  )
