import type { BuilderReport } from '../../diagnosis/report.ts'
import { states, type Builder, type State } from '../../model/index.ts'
import { html, type Html } from './html.ts'
import { stateStyles } from './state-style.ts'

/** Which builders to show. Empty fields match all builders. */
export interface Filter {
  readonly state: string
  readonly system: string
  /** A part of the name. */
  readonly name: string
}

const maxLength = 200

/** Parses the query. Unknown states, and systems that no builder has, are ignored. */
export const parseFilter = (
  query: URLSearchParams,
  systems: readonly string[],
): Filter => {
  const text = (key: string) => (query.get(key) ?? '').trim().slice(0, maxLength)
  const oneOf = (key: string, known: readonly string[]) =>
    known.includes(text(key)) ? text(key) : ''
  return {
    state: oneOf('state', ['failing', ...states]),
    system: oneOf('system', systems),
    name: text('name'),
  }
}

export const isFiltering = (filter: Filter): boolean =>
  Object.values(filter).some(value => value !== '')

const failing: readonly State[] = ['down', 'degraded', 'unknown']

export const matchesFilter = (
  filter: Filter,
  { name, state }: BuilderReport,
  { systems }: Pick<Builder, 'systems'>,
): boolean =>
  (filter.state === '' ||
    (filter.state === 'failing' ? failing.includes(state) : filter.state === state)) &&
  (filter.system === '' || systems.includes(filter.system)) &&
  name.toLowerCase().includes(filter.name.toLowerCase())

/** Renders the filter as a form that works without JavaScript. Its URLs can be shared. */
export const filterForm = (filter: Filter, systems: readonly string[]): Html =>
  html`<form class="filter" action="/" method="get" role="search" aria-label="Builders">
    <label
      >Name
      <input name="name" type="search" value="${filter.name}" maxlength="${maxLength}"
    /></label>
    <label
      >State
      <select name="state">
        ${[
          ['', 'any'] as const,
          ['failing', 'not healthy'] as const,
          ...states.map(state => [state, stateStyles[state].label] as const),
        ].map(([value, word]) => option(value, word, filter.state))}
      </select></label
    >
    <label
      >System
      <select name="system">
        ${[['', 'any'] as const, ...systems.map(system => [system, system] as const)].map(
          ([value, word]) => option(value, word, filter.system),
        )}
      </select></label
    >
    <button>Filter</button>
    ${isFiltering(filter) && html`<a href="/">show all</a>`}
  </form>`

const option = (value: string, word: string, wanted: string): Html =>
  value === wanted
    ? html`<option value="${value}" selected>${word}</option>`
    : html`<option value="${value}">${word}</option>`
