import { certificateRows } from './certificates.ts'
import { clientRows } from './client.ts'
import { jumpRows } from './jump.ts'
import { lineRows } from './lines.ts'
import { nixRows } from './nix.ts'
import { reachRows } from './reach.ts'
import type { Row } from './row.ts'
import { sessionRows } from './session.ts'
import { sshOptionRows } from './ssh-options.ts'
import { storeRows } from './store.ts'

/** Every fault with its expected result. */
export const rows: readonly Row[] = [
  ...lineRows,
  ...jumpRows,
  ...clientRows,
  ...sshOptionRows,
  ...reachRows,
  ...certificateRows,
  ...sessionRows,
  ...nixRows,
  ...storeRows,
]
