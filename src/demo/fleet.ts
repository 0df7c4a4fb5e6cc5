import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { dirname, extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { ActiveBuilders, Builder, LocalNix } from '../model/index.ts'
import { demoSystem, demoUser } from './demo-builder.ts'
import type { FlakyTimes, ServedBuilder } from './serve-fleet.ts'

export interface DemoFleetOptions {
  /** Number of healthy builders instead of the five different ones, for load tests. */
  readonly count?: number
  readonly flaky?: FlakyTimes
}

/** Simulated builders: SSH servers on 127.0.0.1 in a child process. */
export interface DemoFleet {
  readonly builders: readonly Builder[]
  /** The demo does not use the Nix of this machine. */
  readonly nix: LocalNix
  /** Resolves when the child has ended and its key is deleted. Idempotent. */
  stop(): Promise<void>
}

/** Sent from parent to child as JSON argument. */
export interface FleetRequest {
  readonly count: number | null
  readonly flaky: FlakyTimes
}

/** Sent from child to parent, once. */
export type FleetMessage =
  | { readonly keyFile: string; readonly servers: readonly ServedBuilder[] }
  | { readonly error: string }

/** Down soon after the start, and long enough for two failed logins, which health needs. */
const defaultFlaky: FlakyTimes = { upMs: 3000, downMs: 14_000 }
const killAfterMs = 2000

/** Starts the fleet, which ends with `stop` or with this process. Rejects if it cannot start. */
export const startDemoFleet = async (
  options: DemoFleetOptions = {},
): Promise<DemoFleet> => {
  const request: FleetRequest = {
    count: options.count ?? null,
    flaky: options.flaky ?? defaultFlaky,
  }
  const main = new URL(`fleet-main${extname(import.meta.url)}`, import.meta.url)
  const child = fork(fileURLToPath(main), [JSON.stringify(request)], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  const ready = await firstMessage(child)
  if ('error' in ready) throw new Error(`the demo fleet cannot start: ${ready.error}`)
  let stopping: Promise<void> | null = null
  return {
    builders: ready.servers.map((server, i) => toBuilder(server, ready.keyFile, i + 1)),
    nix: { version: null, system: demoSystem },
    stop: () => (stopping ??= stop(child, ready.keyFile)),
  }
}

const firstMessage = (child: ChildProcess): Promise<FleetMessage> =>
  new Promise(resolve => {
    child.once('message', message => resolve(message as FleetMessage))
    child.once('error', ({ message }) => resolve({ error: message }))
    child.once('exit', (code, signal) =>
      resolve({ error: `its process ended with ${code ?? signal}` }),
    )
  })

/** Returns the builders list of the demo fleet. */
export const demoBuilders = (fleet: DemoFleet): ActiveBuilders => ({
  source: 'demo',
  builders: fleet.builders,
  problems: [],
  files: [],
  nix: fleet.nix,
})

const every5Seconds = '*/5 * * * * *'

/** Returns a configuration with short intervals, so that the demo shows changes quickly. */
export const withDemoSchedule = <C extends { readonly schedule: object }>(
  config: C,
): C => ({
  ...config,
  schedule: {
    ...config.schedule,
    login: every5Seconds,
    disk: every5Seconds,
    memory: every5Seconds,
  },
})

const stop = async (child: ChildProcess, keyFile: string): Promise<void> => {
  if (child.exitCode === null && child.signalCode === null) {
    const exited = once(child, 'exit')
    if (child.connected) child.disconnect()
    const kill = setTimeout(() => child.kill('SIGKILL'), killAfterMs)
    await exited
    clearTimeout(kill)
  }
  // The child deletes it unless it was killed
  await rm(dirname(keyFile), { recursive: true, force: true })
}

const toBuilder = (server: ServedBuilder, keyFile: string, line: number): Builder => {
  const { builder, port } = server
  const publicHostKey = Buffer.from(server.pinnedKey).toString('base64')
  const storeUri = `${builder.scheme}://${demoUser}@127.0.0.1:${port}`
  const features = builder.features.join(',')
  return {
    name: builder.name,
    storeUri,
    scheme: builder.scheme,
    user: demoUser,
    host: '127.0.0.1',
    port,
    params: {},
    systems: [demoSystem],
    sshKey: keyFile,
    maxJobs: builder.maxJobs,
    speedFactor: 1,
    supportedFeatures: builder.features,
    mandatoryFeatures: [],
    publicHostKey,
    origin: { file: 'demo', line },
    line: `${storeUri} ${demoSystem} ${keyFile} ${builder.maxJobs} 1 ${features} - ${publicHostKey}`,
  }
}
