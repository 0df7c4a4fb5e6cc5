import { closestMatch } from '../../text/closest-match.ts'
import type { SchemaError } from '../schema-validator.ts'
import { formatRequirements, printable } from './scalars.ts'
import { maxUsers } from './schema.ts'

/** Formats a schema error of a web configuration file; null for errors that follow from another error. */
export const formatSchemaError = (error: SchemaError): string | null => {
  const { path, keyword, params, value, knownKeys } = error
  const isInList = /^\d+$/.test(path.at(-1) ?? '') && path[0] !== 'basic_auth_users'
  const name = printable((isInList ? path.slice(0, -1) : path).join('.') || 'the file')
  switch (keyword) {
    case 'additionalProperties': {
      const key = String(params['additionalProperty'])
      const suggestion = closestMatch(key, knownKeys)
      return `unknown key ${printable([...path, key].join('.'))}${suggestion ? `, did you mean ${suggestion}?` : ''}`
    }
    case 'type': {
      const type = String([params['type']].flat()[0])
      return `${isInList ? 'each of ' : ''}${name} must be ${typeNames[type] ?? type}`
    }
    // A value of another type has a type error already
    case 'format':
      return typeof value === 'string'
        ? `${name} must be ${formatRequirements[String(params['format'])] ?? 'valid'}`
        : null
    case 'enum':
      return typeof value === 'string'
        ? `${name} cannot be ${printable(value)}${suggest(value, params['allowedValues'])}`
        : null
    case 'maxProperties':
      return `${name} has more than ${maxUsers} users`
    default:
      return `${name} ${error.message}`
  }
}

const typeNames: Readonly<Record<string, string>> = {
  string: 'a string',
  array: 'a list',
  object: 'a map of keys and values',
}

const suggest = (value: string, allowed: unknown): string => {
  const names = (allowed as readonly (string | null)[]).filter(name => !!name) as string[]
  const suggestion = closestMatch(value, names)
  if (suggestion) return `, did you mean ${suggestion}?`
  return `: one of ${names.slice(0, 6).join(', ')}${names.length > 6 ? ' ...' : ''}`
}
