import { alertNames } from '../alerts/rules.ts'
import type { Knowledge } from '../config/config.ts'
import { cronFault } from '../schedule/timetable.ts'

/** What the configuration is checked with. */
export const knowledge: Knowledge = { cronFault, alertNames }
