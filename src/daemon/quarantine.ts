import type { Config } from '../config/config.ts'
import type { Monitor } from '../engine/monitor.ts'
import type { Builder, Run } from '../model/index.ts'
import type { HolderClient, HolderState } from '../quarantine/holder/holder-client.ts'
import {
  createOutOfService,
  type OutOfService,
  type OutOfServiceDeps,
} from './out-of-service.ts'
import { createWatchConnections } from './watch-connections.ts'

export interface QuarantineDeps extends Pick<
  OutOfServiceDeps,
  'clock' | 'log' | 'stateFile' | 'recheck'
> {
  readonly monitor: Pick<Monitor, 'store' | 'endpoints'>
  readonly config: () => Config
  readonly run: Run
  /** Connects to the slot holder. */
  readonly createHolder: (
    socketPath: string,
    onChange: (state: HolderState) => void,
  ) => HolderClient
}

/** Connects what decides (results, connections of real builds, drains) with the slot holder. */
export const createQuarantine = (deps: QuarantineDeps): OutOfService => {
  const { config, recheck } = deps
  const { store, endpoints } = deps.monitor
  const keyOf = (builder: Builder): string => endpoints.keyOf(builder)
  const connections = createWatchConnections({
    ...deps,
    read: store.read,
    keyOf,
    recheck,
    isEnabled: () => config().quarantine.enable,
  })
  const { socket } = config().quarantine
  const outOfService = createOutOfService({
    ...deps,
    store,
    keyOf,
    connections,
    createHolder: onChange => deps.createHolder(socket, onChange),
  })
  return {
    ...outOfService,
    start: () => {
      outOfService.start()
      connections.start()
    },
    stop: () => {
      connections.stop()
      outOfService.stop()
    },
  }
}
