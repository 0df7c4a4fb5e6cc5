/** One row: a fault, how it is injected, and the expected result. */
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

/** The result that a row expects of a builder. */
export interface Expected {
  readonly state: State
  /** `null` where nothing is wrong. */
  readonly kind: string | null
  readonly side?: Side
  /** Text in the fixes. */
  readonly fix?: RegExp
  /** Another accepted result, for faults that look the same or depend on a race. */
  readonly or?: Expected
  /** Further assertions. */
  readonly also?: (t: Test, builder: BuilderAnswer, where: Where, answer: Answer) => void
}
export interface Where {
  readonly client: Client
  readonly node: Node
  readonly scheme: Scheme
}

/** How builder-monitor is run, if not as root with the default environment. Rows with the same value share a run. */
export interface From {
  readonly env?: Readonly<Record<string, string>>
  readonly args?: readonly string[]
  /** Lines of nix.conf. */
  readonly config?: string
  /** The user; root by default. */
  readonly as?: string
  /** Lines appended to the machines file. */
  readonly extra?: readonly string[]
  /** A shell command that prepares it, run as root on each client. */
  readonly before?: string
  /** A shell command that undoes it. */
  readonly after?: string
}

export interface Row {
  readonly name: string
  /** Faults for `lab.sh fault`; rows without faults share a run. */
  readonly faults?: readonly string[]
  /** The builders that support it; all by default. */
  readonly on?: readonly Node[]
  /** The clients; the host and c3 by default. */
  readonly clients?: readonly Client[]
  readonly from?: From
  /** A shell command, run on each client before the check. */
  readonly before?: (node: Node) => string
  /** Fields of the machine line that differ from the default. */
  readonly line?: (where: Where) => Partial<Line>
  /** Lines of ssh_config for the host of the line. */
  readonly ssh?: (where: Where, host: string) => readonly string[]
  readonly expect: (where: Where) => Expected
  /** Why no real build is compared with the result. */
  readonly noBuild?: string
  /** True if the fault is a wait: the result comes at the deadline. */
  readonly isLong?: boolean
  /** Checks the fault while it is active. Returns a problem or null. */
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
/** Healthy, with further assertions. */
export const healthyAnd = (more: NonNullable<Expected['also']>): Expected => ({
  ...healthy,
  also: (t, builder, where, answer) => {
    healthy.also?.(t, builder, where, answer)
    more(t, builder, where, answer)
  },
})
/** Healthy, with a login through OpenSSH because ssh2 does not support it. */
export const healthyThroughOpenssh: Expected = healthyAnd((t, builder) => {
  const value = builder.probes.login?.value as { transport?: string } | undefined
  t.equal(value?.transport, 'openssh', `${builder.name}: logs in through OpenSSH`)
})

/** Base64 of a node's host key, for field 8 of a machine line. */
export const hostKeyOf = (node: Node, name = 'host') =>
  Buffer.from(readFileSync(join(keysDir, `${name}_${node}.pub`))).toString('base64')
