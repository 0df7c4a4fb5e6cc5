import type { State } from '../../model/index.ts'
import type { Html } from './html.ts'

/** A part of a page that changes as a whole: one element, whose id is this. */
export interface Region {
  readonly id: string
  readonly html: Html
}

/** What a page shows at one moment, in parts, so that only what has changed needs to be sent again. */
export interface PageView {
  readonly title: string
  /** For the icon in the tab. */
  readonly state: State
  /** Every part; `body` has them all in place. */
  readonly regions: readonly Region[]
  /** Ids of the rows of the table in their order; empty where there is no table. */
  readonly order: readonly string[]
  readonly body: Html
}
