/** One row: a fault, how it is made, and the one right answer. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { CanaryValue, State, Side } from '../../../src/model/index.ts'
import {
  keysDir,
  type Answer,
  type BuilderAnswer,
  type Client,
  type Line,
  type Node,
} from '../support.ts'
import type { Scheme } from '../support.ts'

/** What a row expects of a builder. */
export interface Expected {
  readonly state: State
  /** `null` where nothing is wrong. */
  readonly kind: string | null
  readonly side?: Side
  /** Words of the fixes. */
  readonly fix?: RegExp
  /** Another answer that is as right: what cannot be told apart, or what a race decides. */
  readonly or?: Expected
  /** More that has to hold. */
  readonly also?: (t: Test, builder: BuilderAnswer, where: Where, whole: Answer) => void
}
export interface Where {
  readonly client: Client
  readonly node: Node
  readonly scheme: Scheme
}

/** How the product is run, where it is not as root with the usual environment. Rows that share one are asked at once. */
export interface From {
  readonly env?: Readonly<Record<string, string>>
  readonly args?: readonly string[]
  /** Another user than root. */
  readonly as?: string
  /** Lines that stand after those of the rows in the machines file. */
  readonly extra?: readonly string[]
  /** A shell command that makes it so, run as root on each client. */
  readonly before?: string
}

export interface Row {
  readonly name: string
  /** What `lab.sh fault` does to the builder; without any, rows are asked together. */
  readonly faults?: readonly string[]
  /** The builders it can be done to; all by default. */
  readonly on?: readonly Node[]
  /** Where builds are sent from; the host and c3 by default. */
  readonly clients?: readonly Client[]
  readonly from?: From
  /** A shell command on each client, right before it is asked. */
  readonly before?: (node: Node) => string
  /** What the machine line has of its own. */
  readonly line?: (where: Where) => Partial<Line>
  /** What ssh_config says of the host of the line. */
  readonly ssh?: (where: Where, host: string) => readonly string[]
  readonly expect: (where: Where) => Expected
  /** Waiting is the fault itself: the answer comes when patience ends. */
  readonly isLong?: boolean
  /** Says what is wrong while the fault holds, or null. */
  readonly during?: (node: Node) => Promise<string | null>
}

export const always = (expected: Expected) => () => expected
export const down = (kind: string, side: Side, fix: RegExp): Expected => ({
  state: 'down',
  kind,
  side,
  fix,
})
export const degraded = (kind: string, side: Side, fix: RegExp): Expected => ({
  state: 'degraded',
  kind,
  side,
  fix,
})

export const healthy: Expected = {
  state: 'healthy',
  kind: null,
  also: (t, builder, { node }) => {
    const runs = (builder.probes.canary?.value as CanaryValue | undefined)?.runs ?? []
    t.ok(builder.verified, `${builder.name} is verified`)
    t.equal(runs[0]?.builtBy, node, `${builder.name}: the build happened on ${node}`)
  },
}
/** Healthy, and `more` holds as well. */
export const healthyAnd = (more: NonNullable<Expected['also']>): Expected => ({
  ...healthy,
  also: (t, builder, where, whole) => {
    healthy.also?.(t, builder, where, whole)
    more(t, builder, where, whole)
  },
})
/** Watched through OpenSSH, which knows what ssh2 does not. */
export const healthyThroughOpenssh: Expected = healthyAnd((t, builder) => {
  const value = builder.probes.login?.value as { transport?: string } | undefined
  t.equal(value?.transport, 'openssh', `${builder.name}: through OpenSSH`)
})

/** Base64 of a node's host key, as field 8 wants it. */
export const hostKeyOf = (node: Node, name = 'host') =>
  Buffer.from(readFileSync(join(keysDir, `${name}_${node}.pub`))).toString('base64')
