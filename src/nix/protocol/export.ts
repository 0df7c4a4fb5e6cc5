import { concat, list, text, word } from './wire-writer.ts'

/** EXPORT_MAGIC of export-import.cc. */
const exportMagic = 0x4558494e

/**
 * Encodes one regular file as `nix-store --export` does for a path without references and deriver (export-import.cc
 * exportPath, archive.cc). `nix-store --import` accepts it unsigned into a store that the caller owns.
 */
export const exportFile = (path: string, contents: string): Buffer =>
  concat(
    word(1),
    ...['nix-archive-1', '(', 'type', 'regular', 'contents', contents, ')'].map(text),
    word(exportMagic),
    text(path),
    list([]),
    text(''),
    word(0),
    word(0),
  )
