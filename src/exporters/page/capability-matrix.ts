import type { Capability } from '../../diagnosis/capabilities.ts'
import { html, type Html } from './html.ts'

/** Renders a table of systems by features with the number of verified builders. Zero means that such builds cannot run remotely. */
export const capabilityMatrix = (capabilities: readonly Capability[]): Html | null => {
  if (capabilities.length === 0) return null
  const systems = [...new Set(capabilities.map(({ system }) => system))].sort()
  const features = [...new Set(capabilities.map(({ feature }) => feature))].sort()
  const find = (system: string, feature: string) =>
    capabilities.find(
      capability => capability.system === system && capability.feature === feature,
    )
  return html`<h2>Capabilities</h2>
    <div class="wide" tabindex="0" role="region" aria-label="Capabilities">
      <table class="matrix">
        <caption>
          Builders verified by a recent build, of those that advertise the feature
        </caption>
        <thead>
          <tr>
            <th scope="col">System</th>
            ${features.map(feature => html`<th scope="col">${feature === '' ? 'no feature' : feature}</th>`)}
          </tr>
        </thead>
        <tbody>
          ${systems.map(
            system =>
              html`<tr>
                <th scope="row">${system}</th>
                ${features.map(feature => cell(find(system, feature)))}
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
