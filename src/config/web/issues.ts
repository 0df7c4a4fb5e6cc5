import type { Path, YamlDocument, YamlError } from './yaml.ts'

/** Errors or warnings of a web configuration file, collected so that all are reported at once. */
export interface Issues {
  readonly all: readonly YamlError[]
  /** Adds an issue at the line of a value. */
  add(path: Path, text: string): void
  /** Adds an issue at the line of a key. */
  addAtKey(path: Path, text: string): void
}

export const createIssues = ({ lineOf, keyLineOf }: YamlDocument): Issues => {
  const all: YamlError[] = []
  return {
    all,
    add: (path, text) => void all.push({ line: lineOf(path), text }),
    addAtKey: (path, text) => void all.push({ line: keyLineOf(path), text }),
  }
}
