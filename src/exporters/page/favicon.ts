import type { State } from '../../model/index.ts'

const colours: Readonly<Record<State, string>> = {
  healthy: '#1f9d55',
  degraded: '#d99000',
  down: '#d93025',
  unknown: '#7b8794',
  asleep: '#7b8794',
  drained: '#7b8794',
}

/** A dot in the colour of the state, for the tab. */
export const faviconUrl = (state: State): string =>
  `data:image/svg+xml,${encodeURIComponent(
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><circle cx="8" cy="8" r="7" fill="${colours[state]}"/></svg>`,
  )}`
