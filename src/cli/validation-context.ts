import { alertNames } from '../alerts/rules.ts'
import type { ValidationContext } from '../config/config.ts'
import { cronError } from '../schedule/cron.ts'

/** What the configuration is checked with. */
export const validationContext: ValidationContext = {
  validateCron: cronError,
  alertNames,
}
