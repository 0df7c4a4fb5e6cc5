import { isKind } from '../../model/index.ts'
import { renderRunbook, renderRunbookIndex } from '../../diagnosis/runbook.ts'
import { html, type Html } from './html.ts'
import type { PageView } from './view.ts'

/** Runbook pages of alerts as Markdown, by alert name. */
export type AlertRunbooks = ReadonlyMap<string, string>

export const runbooksPath = '/runbooks/'

/** Returns the path of the runbook of a kind or an alert. */
export const runbookPath = (name: string): string => `${runbooksPath}${name}`

/** Renders a link to the runbook of a kind. */
export const runbookLink = (kind: string): Html =>
  html`<a href="${runbookPath(kind)}">Runbook: ${kind}</a>`

/** Renders the runbook of a kind or an alert, or the index for an empty name. Null for an unknown name. */
export const runbookView = (
  name: string,
  alertRunbooks: AlertRunbooks,
): Pick<PageView, 'title' | 'body'> | null => {
  const text =
    name === ''
      ? renderIndex(alertRunbooks)
      : isKind(name)
        ? renderRunbook(name)
        : alertRunbooks.get(name)
  if (text === undefined) return null
  return {
    title: name || 'Runbooks',
    body: html`<header>
        <p class="brand">
          <a href="/">All builders</a>
          ${name !== '' && html`<a href="${runbooksPath}">All runbooks</a>`}
        </p>
      </header>
      <main>${splitBlocks(text).map(blockHtml)}</main>`,
  }
}

const renderIndex = (alertRunbooks: AlertRunbooks): string =>
  [
    renderRunbookIndex(),
    '## alerts',
    [...alertRunbooks.keys()].map(name => `- [${name}](${name}.md)`).join('\n'),
  ].join('\n\n')

/** Splits a runbook into headings, quotations, lists, code and paragraphs. */
const splitBlocks = (text: string): readonly string[] =>
  text
    .split(/(^```[^]*?^```$)/m)
    .flatMap(part =>
      part.startsWith('```') ? [part] : part.split(/\n{2,}/).map(block => block.trim()),
    )
    .filter(block => block !== '')

const blockHtml = (block: string): Html => {
  const [, marks = '', rest = ''] = /^(# |## |> |```\w*\n)([^]*)$/.exec(block) ?? []
  if (marks === '# ') return html`<h1>${rest}</h1>`
  if (marks === '## ') return html`<h2>${rest}</h2>`
  if (marks === '> ') return html`<blockquote><p>${inline(rest)}</p></blockquote>`
  if (marks !== '') return html`<pre data-copy>${rest.replace(/\n```$/, '')}</pre>`
  return block.startsWith('- ')
    ? html`<ul>
        ${block.split(/^- /m).map(item => item !== '' && html`<li>${inline(item.trim())}</li>`)}
      </ul>`
    : html`<p>${inline(block)}</p>`
}

/** Renders links to other runbooks, **strong** and `code`. */
const inline = (text: string): readonly Html[] =>
  text.split(/(\[\w+\]\(\w+\.md\)|\*\*[^*]+\*\*|`[^`]+`)/).map(part => {
    const link = /^\[(\w+)\]\((\w+)\.md\)$/.exec(part)
    if (link) return html`<a href="${runbookPath(link[2] ?? '')}">${link[1]}</a>`
    if (/^\*\*.+\*\*$/.test(part)) return html`<strong>${part.slice(2, -2)}</strong>`
    return /^`.+`$/.test(part) ? html`<code>${part.slice(1, -1)}</code>` : html`${part}`
  })
