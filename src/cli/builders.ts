import type { ActiveBuilders, Builder, Problem } from '../model/index.ts'
import { createRun } from '../transport/run.ts'
import type { Io } from './terminal.ts'
import { readLocalBuilders } from '../engine/local-builders.ts'
import { createPaint, type Paint } from './paint.ts'

/** Prints the active builders as Nix reads them. Returns 1 if the list has errors. */
export const buildersCommand = async (
  { json }: { readonly json: boolean },
  io: Io,
): Promise<number> => {
  const active = await readLocalBuilders(createRun(), io.env, io.signal)
  io.out(
    json
      ? `${JSON.stringify(buildersJson(active), null, 2)}\n`
      : buildersText(active, createPaint(io.isTerminal, io.env)),
  )
  return active.problems.length > 0 ? 1 : 0
}

/** Returns the JSON output, whose fields are a contract. */
export const buildersJson = ({ source, builders, problems }: ActiveBuilders) => ({
  source,
  builders: builders.map(builder => ({
    name: builder.name,
    storeUri: builder.storeUri,
    scheme: builder.scheme,
    user: builder.user,
    host: builder.host,
    port: builder.port,
    params: builder.params,
    systems: builder.systems,
    sshKey: builder.sshKey,
    maxJobs: builder.maxJobs,
    speedFactor: builder.speedFactor,
    supportedFeatures: builder.supportedFeatures,
    mandatoryFeatures: builder.mandatoryFeatures,
    publicHostKey: builder.publicHostKey,
    origin: builder.origin,
  })),
  problems: problems.map(({ file, line, message }) => ({ file, line, message })),
})

const buildersText = (active: ActiveBuilders, paint: Paint): string => {
  const source =
    active.source === 'nix'
      ? `as reported by Nix ${active.nix.version ?? ''}`
      : "read from Nix's files, because Nix did not report them"
  const { length } = active.builders
  const headline =
    length === 0
      ? `No builders are configured (${source}). Read: ${active.files.join(', ')}`
      : `${length} ${length === 1 ? 'builder' : 'builders'} (${source})`
  return `${[paint.bold(headline), ...active.problems.map(p => problemLine(p, paint)), ...active.builders.map(b => builderLines(b, paint))].join('\n')}\n`
}

const problemLine = ({ file, line, message }: Problem, paint: Paint): string =>
  paint.status('failed', `✘ ${file}:${line}: ${message}`)

const builderLines = (builder: Builder, paint: Paint): string => {
  const features = [
    ...builder.supportedFeatures,
    ...builder.mandatoryFeatures.map(f => `${f} (mandatory)`),
  ]
  return [
    '',
    `${paint.bold(builder.name)}  ${builder.storeUri}`,
    `  systems   ${builder.systems.join(' ')}`,
    `  slots     ${builder.maxJobs}, speed factor ${builder.speedFactor}`,
    `  features  ${features.join(' ') || 'none'}`,
    `  key       ${builder.sshKey ?? "ssh's own"}, host key ${builder.publicHostKey ? 'pinned' : 'from known_hosts'}`,
    paint.dim(`  from      ${builder.origin.file}:${builder.origin.line}`),
  ].join('\n')
}
