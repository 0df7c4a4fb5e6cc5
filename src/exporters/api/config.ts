import type { Exporter } from '../exporter.ts'

export interface EffectiveConfigOptions {
  /** Returns the active configuration with defaults. */
  readonly config: () => unknown
}

/** Serves GET /config: the active configuration. URLs lose their path, because the path of a webhook is a secret. */
export const createConfigExporter = ({ config }: EffectiveConfigOptions): Exporter => ({
  name: 'config',
  routes: () => [
    {
      method: 'GET',
      path: '/config',
      handle: () => ({
        status: 200,
        type: 'application/json; charset=utf-8',
        body: `${JSON.stringify(config(), (_, value: unknown) => redactUrlPath(value), 2)}\n`,
      }),
    },
  ],
})

const redactUrlPath = (value: unknown): unknown => {
  if (typeof value !== 'string' || !/^https?:\/\//i.test(value)) return value
  try {
    const { protocol, host, pathname, search } = new URL(value)
    return `${protocol}//${host}${pathname + search === '/' ? '' : '/...'}`
  } catch {
    return '...'
  }
}
