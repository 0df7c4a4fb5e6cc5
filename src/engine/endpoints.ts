import type { Builder, FindEndpoint, LoginValue, Outcome } from '../model/index.ts'

/** Which builders are the same sshd, so that their logins do not overlap: sshd's MaxStartups counts all of them. */
export interface Endpoints {
  /** Returns the endpoint as far as it is known: that of the newest login or of ssh -G, or the host and port of the line. */
  keyOf(builder: Builder): string
  /** Asks ssh for the endpoint, unless it is known. */
  find(builder: Builder, signal: AbortSignal): Promise<string>
  /** Runs `login` when no other login to this endpoint runs, and remembers where it connected. */
  alone<T extends { readonly outcome: Outcome }>(
    builder: Builder,
    signal: AbortSignal,
    login: () => Promise<T>,
  ): Promise<T>
  /** The same for a build of Nix, whose login takes only its first seconds. */
  startAlone<T>(
    builder: Builder,
    signal: AbortSignal,
    build: () => Promise<T>,
  ): Promise<T>
  /** Forgets all other builders. */
  retain(builders: readonly Builder[]): void
}

/** A resolver that does not answer must not delay the login, which reports it. */
const findMs = 3000

/** A build that hangs must not delay logins. */
const maxBuildMs = 5000

/** Enough for the start of a large fleet: a run of ssh -G takes 5 ms. */
const maxConcurrent = 8

export const createEndpoints = (findEndpoint: FindEndpoint | undefined): Endpoints => {
  const known = new Map<string, string>()
  /** Lines whose newest login failed: ssh is asked again, whose configuration may have changed. */
  const outdated = new Set<string>()
  const running = new Map<string, Promise<void>>()
  const waiting: (() => void)[] = []
  let finding = 0

  const limited = async <T>(task: () => Promise<T>): Promise<T> => {
    if (finding >= maxConcurrent)
      await new Promise<void>(resolve => waiting.push(resolve))
    finding++
    try {
      return await task()
    } finally {
      finding--
      waiting.shift()?.()
    }
  }

  const keyOf = (builder: Builder): string =>
    known.get(builder.line) ?? hostAndPort(builder)

  const find = async (builder: Builder, signal: AbortSignal): Promise<string> => {
    if (findEndpoint && (!known.has(builder.line) || outdated.has(builder.line))) {
      const deadline = AbortSignal.any([signal, AbortSignal.timeout(findMs)])
      const endpoint = await limited(() => findEndpoint(builder, deadline)).catch(
        () => null,
      )
      if (endpoint !== null) {
        known.set(builder.line, endpoint)
        outdated.delete(builder.line)
      }
    }
    return keyOf(builder)
  }

  /** Waits until no other login runs; returns the function that ends this one. */
  const acquire = async (builder: Builder, signal: AbortSignal): Promise<() => void> => {
    const key = await find(builder, signal)
    const previous = running.get(key)
    let end: () => void = () => undefined
    const own = new Promise<void>(resolve => (end = resolve))
    const last = (previous ?? Promise.resolve()).then(() => own)
    running.set(key, last)
    await previous
    return () => {
      end()
      if (running.get(key) === last) running.delete(key)
    }
  }

  return {
    keyOf,
    find,
    alone: async (builder, signal, login) => {
      const release = await acquire(builder, signal)
      try {
        const result = await login()
        const value = 'value' in result.outcome ? result.outcome.value : undefined
        const endpoint = endpointOf(value as LoginValue | undefined)
        if (endpoint === null) outdated.add(builder.line)
        else known.set(builder.line, endpoint)
        return result
      } finally {
        release()
      }
    },
    startAlone: async (builder, signal, build) => {
      const release = await acquire(builder, signal)
      const timer = setTimeout(release, maxBuildMs)
      try {
        return await build()
      } finally {
        clearTimeout(timer)
        release()
      }
    },
    retain: builders => {
      const lines = new Set(builders.map(({ line }) => line))
      for (const line of known.keys()) if (!lines.has(line)) known.delete(line)
      for (const line of outdated) if (!lines.has(line)) outdated.delete(line)
    },
  }
}

/** Builders of the demo, and tunnels, share a host and differ in their port. */
const hostAndPort = (builder: Builder): string =>
  builder.host === null ? builder.name : `${builder.host} port ${builder.port ?? 22}`

/** The address and port of a login, or the builder and its jump host. Null where no connection was established. */
const endpointOf = (value: LoginValue | undefined): string | null => {
  const via = value?.via ?? null
  if (!value || via === null) return null
  return via.startsWith('proxy ') ? value.endpoint : via
}
