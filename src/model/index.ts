/**
 * Core types: the data that every part of the program shares, and the ports that tests replace.
 *
 * - *builder*: one machine line of the active `builders` setting, with the defaults that Nix applies.
 * - *probe*: one question to a builder. *attempt*: one run of a probe. *outcome*: what it found. *result*: an outcome
 *   with its times.
 * - *kind*: the name of what is wrong, from a closed list. It owns the message, the side and the fixes.
 * - *health*: the debounced state of a builder, with one cause. *snapshot*: everything known at one moment.
 * - *remote*: a logged-in connection that opens channels. *run*: runs a local process.
 * - *trace*: the steps of one attempt, for people who debug it.
 */

// The closed list of kinds, their sides and the steps that fix them.
export * from './kind.ts'

// The builders of this Nix, and the errors in their list.
export type * from './builders.ts'

// The state of this machine as a client.
export * from './client.ts'

// What an attempt of a probe can find.
export * from './outcomes.ts'

// The value that each probe measures.
export type * from './values.ts'

// The debounced state of a builder, with one cause.
export * from './health.ts'

// Counters, recent results and traces of each probe.
export type * from './history.ts'

// Builders out of service.
export * from './quarantine.ts'

// Alerts and their state.
export type * from './alerts.ts'

// Everything known at one moment, and how exporters read it.
export type * from './snapshot.ts'

// Ports that tests replace: time, connections, programs.
export * from './ports.ts'

// Who may reach our HTTP server.
export type * from './access.ts'

// What a probe is, and its context.
export type * from './probes.ts'
