import type { State } from '../../model/index.ts'
import type { Html } from './html.ts'

/** The element with this id, updated as a whole. */
export interface Region {
  readonly id: string
  readonly html: Html
}

/** The content of a page at one moment, in regions, so that updates contain only what changed. */
export interface PageView {
  readonly title: string
  /** Shown by the favicon. */
  readonly state: State
  /** All regions of `body`. */
  readonly regions: readonly Region[]
  /** Ids of the table rows in order; empty without a table. */
  readonly order: readonly string[]
  readonly body: Html
}
