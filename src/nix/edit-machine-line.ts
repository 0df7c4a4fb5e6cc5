import { words } from './text.ts'

/** A machine line with one field (1 to 8) written anew; what it has not yet becomes `-`. */
export const withField = (line: string, field: number, value: string): string => {
  const columns = [...words(line)]
  while (columns.length < field) columns.push('-')
  columns[field - 1] = value
  return columns.join(' ')
}
