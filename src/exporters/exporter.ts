import type { View } from '../model/index.ts'
import type { Route } from './http/route.ts'

/** An output: routes over the view, or a subscriber of the view, or both. */
export interface Exporter {
  readonly name: string
  routes?(view: View): readonly Route[]
  /** Runs until the returned function is called. */
  start?(view: View): () => void
}
