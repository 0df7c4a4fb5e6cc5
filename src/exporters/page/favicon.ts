import type { State } from '../../model/index.ts'
import { stateStyles } from './state-style.ts'

/** Returns the favicon as a data URL: a dot in the color of the state. */
export const faviconUrl = (state: State): string =>
  `data:image/svg+xml,${encodeURIComponent(
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><circle cx="8" cy="8" r="7" fill="${stateStyles[state].dot}"/></svg>`,
  )}`
