import {
  createHolderClient,
  onlySlots,
  type HolderClient,
  type HolderClientDeps,
  type HolderState,
} from './holder-client.ts'

/** A connection to the slot holder that is made before the code of the monitor is loaded, which takes about a second. */
export interface EarlyHold {
  readonly socketPath: string
  /** Hands the connection over: its state, and all changes, are reported to `onChange`, and the caller closes it. */
  take(onChange: HolderClientDeps['onChange']): HolderClient
  /** Closes the connection unless it was handed over. */
  close(): void
}

/** A holder that does not answer in this time is not waited for, milliseconds. */
const maxWaitMs = 500

/** Holds slots. Resolves when the holder has answered, and at the latest after half a second. */
export const holdEarly = async (
  deps: Omit<HolderClientDeps, 'onChange'>,
  slots: readonly string[],
): Promise<EarlyHold> => {
  let last: HolderState | null = null
  let listener: HolderClientDeps['onChange'] | null = null
  let settle = () => undefined as void
  const client = createHolderClient({
    ...deps,
    onChange: state => {
      last = state
      settle()
      listener?.(state)
    },
  })
  await new Promise<void>(resolve => {
    const timer = setTimeout(resolve, maxWaitMs)
    settle = () => {
      clearTimeout(timer)
      resolve()
    }
    client.hold(onlySlots(slots))
  })
  return {
    socketPath: deps.socketPath,
    take: onChange => {
      listener = onChange
      // Not while the caller still creates what the listener uses
      queueMicrotask(() => last && onChange(last))
      return client
    },
    close: () => {
      if (!listener) client.close()
    },
  }
}
