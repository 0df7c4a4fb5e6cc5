import { Ajv, type ErrorObject } from 'ajv'

/** A violation of a JSON schema. */
export interface SchemaError {
  /** Keys and indexes from the root to the invalid value. */
  readonly path: readonly string[]
  readonly keyword: string
  readonly params: Readonly<Record<string, unknown>>
  readonly message: string
  /** The invalid value. */
  readonly value: unknown
  /** Property names that the schema defines at `path`. */
  readonly knownKeys: readonly string[]
  /** True for errors that concern the name of a property; `propertyNames` reports them, too. */
  readonly isPropertyName: boolean
}

/** Checks text of a custom `format`. */
export type Formats = Readonly<Record<string, (text: string) => boolean>>

/**
 * Creates a function that validates a value against a JSON schema, fills in defaults in place and returns all errors. The
 * schema is compiled on first use.
 */
export const createSchemaValidator = (
  schema: object,
  formats: Formats = {},
): ((value: unknown) => readonly SchemaError[]) => {
  let validate: ReturnType<Ajv['compile']> | null = null
  return value => {
    validate ??= new Ajv({
      allErrors: true,
      useDefaults: true,
      strict: false,
      verbose: true,
      formats: { ...formats },
    }).compile(schema)
    return validate(value) ? [] : (validate.errors ?? []).map(toSchemaError)
  }
}

const toSchemaError = (error: ErrorObject): SchemaError => ({
  path: parsePointer(error.instancePath),
  keyword: error.keyword,
  params: error.params as Record<string, unknown>,
  message: error.message ?? 'is not valid',
  value: error.data,
  knownKeys: Object.keys(
    (error.parentSchema as { properties?: object } | undefined)?.properties ?? {},
  ),
  isPropertyName: error.propertyName !== undefined,
})

/** Parses a JSON pointer (RFC 6901). */
const parsePointer = (pointer: string): readonly string[] =>
  pointer
    .split('/')
    .slice(1)
    .map(key => key.replaceAll('~1', '/').replaceAll('~0', '~'))
