import { alertNames } from '../alerts/rules.ts'
import type { ValidationContext } from '../config/config.ts'
import { cronError } from '../schedule/cron.ts'

/** Validators that src/config gets from other folders. */
export const validationContext: ValidationContext = {
  validateCron: cronError,
  alertNames,
}
