import type { Capability } from '../prometheus/capabilities.ts'
import { html, type Html } from './html.ts'

/** System by feature: how many builders are proven able to build it now. A zero is an outage that builds will feel. */
export const capabilityMatrix = (capabilities: readonly Capability[]): Html | null => {
  if (capabilities.length === 0) return null
  const systems = [...new Set(capabilities.map(({ system }) => system))].sort()
  const features = [...new Set(capabilities.map(({ feature }) => feature))].sort()
  return html`<h2>Who can build what</h2>
    <div class="wide" tabindex="0" role="region" aria-label="Who can build what">
      <table class="matrix">
        <caption>
          Builders proven able now, of those that promise it
        </caption>
        <thead>
          <tr>
            <th scope="col">System</th>
            ${features.map(one => html`<th scope="col">${one === '' ? 'no feature' : one}</th>`)}
          </tr>
        </thead>
        <tbody>
          ${systems.map(
            system =>
              html`<tr>
                <th scope="row">${system}</th>
                ${features.map(feature => cell(capabilities.find(one => one.system === system && one.feature === feature)))}
              </tr>`,
          )}
        </tbody>
      </table>
    </div>`
}

const cell = (capability: Capability | undefined): Html => {
  if (!capability) return html`<td class="quiet">–</td>`
  const { verified, advertised } = capability
  return verified.length === 0
    ? html`<td class="down" title="${advertised.join(', ')}">
        ✘ 0 of ${advertised.length}
      </td>`
    : html`<td title="${verified.join(', ')}">
        ${verified.length} of ${advertised.length}
      </td>`
}
