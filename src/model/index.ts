/**
 * The hall of the house: the words every room speaks, and the ports that tests replace. Types only.
 *
 * - *builder*: one machine line of the active `builders` setting, as Nix would use it.
 * - *probe*: one question to a builder. *attempt*: one run of a probe. *outcome*: its answer. *result*: the answer
 *   with its times.
 * - *kind*: the closed name of what is wrong (kind.ts); diagnosis/kinds has its message, side and fixes.
 * - *verdict*: the damped state of a builder, with one cause. *snapshot*: everything known at one moment.
 * - *remote*: a logged-in connection that opens channels. *run*: a local process.
 * - *trace*: the course of one attempt, step by step, for who looks for a fault.
 */

// The closed list of what can be wrong, and steps that fix it.
export * from './kind.ts'

// Which builders this Nix has, and what is wrong with their list.
export type * from './builders.ts'

// What is known of this machine itself.
export * from './client.ts'

// What an attempt of a probe can find.
export * from './outcomes.ts'

// What each probe yields.
export type * from './values.ts'

// The damped state of a builder, with one cause.
export * from './health.ts'

// What is counted, remembered and traced of each probe.
export type * from './history.ts'

// An alert, and how all of them stand.
export type * from './alerts.ts'

// Everything known at one moment, and how exporters see it.
export type * from './snapshot.ts'

// What tests replace: time, connections, programs.
export * from './ports.ts'

// Who may reach our HTTP server.
export type * from './access.ts'

// What a probe is, and what it is handed.
export type * from './probes.ts'
