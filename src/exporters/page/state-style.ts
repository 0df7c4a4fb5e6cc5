import { stateSymbols } from '../../diagnosis/headline.ts'
import type { State } from '../../model/index.ts'

/**
 * How a state looks. `icon` and `label` distinguish states without color. `color` has enough contrast as text and as
 * background of white text; `dot` is for the favicon.
 */
export interface StateStyle {
  readonly icon: string
  readonly label: State
  readonly color: string
  readonly dot: string
}

const inactive = { color: '#4b5b73', dot: '#7b8794' }

export const stateStyles: Readonly<Record<State, StateStyle>> = {
  healthy: {
    icon: stateSymbols.healthy,
    label: 'healthy',
    color: '#17703a',
    dot: '#1f9d55',
  },
  degraded: {
    icon: stateSymbols.degraded,
    label: 'degraded',
    color: '#8a5a00',
    dot: '#d99000',
  },
  down: { icon: stateSymbols.down, label: 'down', color: '#b3261e', dot: '#d93025' },
  unknown: { icon: stateSymbols.unknown, label: 'unknown', ...inactive },
  asleep: { icon: stateSymbols.asleep, label: 'asleep', ...inactive },
  drained: { icon: stateSymbols.drained, label: 'drained', ...inactive },
}
