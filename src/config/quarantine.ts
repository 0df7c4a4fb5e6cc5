/** Settings of `quarantine`. */
export interface QuarantineConfig {
  readonly enable: boolean
  readonly dryRun: boolean
  readonly keepaliveSeconds: number
  readonly abortHungConnects: boolean
  /** Where the slot holder listens. */
  readonly socket: string
  /** A copy of the machines file without the builders that get no builds. */
  readonly machinesFile?: string
}

/** Returns valid settings that have no effect, or another one than they promise, each with the path of the option. */
export const configWarnings = ({
  quarantine: { enable, dryRun, abortHungConnects },
  canary,
}: {
  readonly quarantine: QuarantineConfig
  readonly canary: { readonly enabled: boolean }
}): readonly string[] => [
  ...(dryRun && !enable
    ? ['/quarantine/dryRun: has no effect without /quarantine/enable']
    : []),
  ...(abortHungConnects && !enable
    ? ['/quarantine/abortHungConnects: has no effect without /quarantine/enable']
    : []),
  ...(abortHungConnects && enable && dryRun
    ? ['/quarantine/abortHungConnects: has no effect with /quarantine/dryRun']
    : []),
  ...(enable && !canary.enabled
    ? [
        '/quarantine/enable: without canaries (/canary/enabled) two logins end a quarantine, and no build verifies the builder',
      ]
    : []),
]

/** Returns errors that the schema cannot express. */
export const validateQuarantine = ({
  machinesFile,
}: QuarantineConfig): readonly string[] =>
  machinesFile?.endsWith('/')
    ? [`/quarantine/machinesFile: ${JSON.stringify(machinesFile)} is a directory`]
    : []
