import { commandLine } from '../../diagnosis/kinds/index.ts'
import type { Fix } from '../../model/index.ts'
import { html, type Html } from './html.ts'

/** Renders the steps of a fix. A command is shown with the machine where it runs, and whether it needs root. */
export const fixList = (fixes: readonly Fix[], builder = 'the builder'): Html | null =>
  fixes.length === 0
    ? null
    : html`<p class="label">Fix:</p>
        <ul class="fixes">
          ${fixes.map(fix =>
            'text' in fix
              ? html`<li>${fix.text}.</li>`
              : html`<li>
                  ${fix.where === 'here' ? 'On this machine' : `On ${builder}`}${fix.root && ', as root'}${fix.user !== undefined && `, as ${fix.user}`}:
                  <pre data-copy><code>${commandLine(fix)}</code></pre>
                </li>`,
          )}
        </ul>`
