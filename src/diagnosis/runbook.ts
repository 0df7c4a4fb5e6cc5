import { kindNames, sides, type Fix, type Kind, type Params } from '../model/index.ts'
import {
  commandLine,
  fixesText,
  formatMessage,
  kindAlert,
  kindFixes,
  kinds,
  kindSide,
  kindState,
} from './kinds/index.ts'

const placeholders: Params = {
  host: 'HOST',
  user: 'USER',
  dest: 'USER@HOST',
  port: 'PORT',
  key: 'KEY',
  ssh: 'ssh -i KEY',
  uri: 'ssh-ng://USER@HOST',
  scheme: 'ssh-ng',
  system: 'SYSTEM',
  program: 'nix-daemon',
  address: 'ADDRESS',
  dead: 'ADDRESS',
  missing: 'NAME',
  offered: 'NAMES',
  available: '1.0 GiB',
  minFree: '5.0 GiB',
  path: '/nix/store',
  where: 'FILE:LINE',
  knownAs: 'HOST',
  waitsFor: 'login',
  total: '16 GiB',
  file: '/etc/nix/machines',
  files: '/root/.ssh/config',
  option: 'OPTION',
  setting: 'SETTING',
  value: 'VALUE',
  seconds: '25',
  variables: 'NIX_VARIABLE',
  origin: 'FILE:LINE',
}

/** Parameters that select another message if they are set. */
const extraPlaceholders: Readonly<Partial<Record<Kind, Params>>> = {
  jump_dns: { behind: 'JUMP' },
  slot_stuck: { slots: 'N', hours: '24', pid: 'PID' },
  ssh_settings_differ: { whose: 'root' },
  substituter_unreachable: { uri: 'https://CACHE' },
  // The machines file needs no restart
  daemon_restart_needed: { file: '/etc/nix/nix.conf' },
}
const kindPlaceholders = (kind: Kind): Params => ({
  ...placeholders,
  ...extraPlaceholders[kind],
})

const implications = {
  down: 'the builder is down',
  degraded: 'the builder is degraded',
  info: 'nothing is broken',
}

/** Kinds about a difference between our ssh and that of nix-daemon. */
const comparedWithDaemon: ReadonlySet<Kind> = new Set<Kind>([
  'daemon_build_fails',
  'daemon_user_unknown',
  'ssh_settings_differ',
])

/** Returns whether the fix of a kind depends on who the user of nix-daemon's ssh is. */
export const dependsOnSshUser = (kind: Kind): boolean => {
  if (comparedWithDaemon.has(kind)) return true
  const pageFor = (sshUser: string) => {
    const params = { ...kindPlaceholders(kind), sshUser }
    return `${formatMessage(kind, params)}\n${fixesText(kindFixes(kind, params))}`
  }
  return pageFor('root') !== pageFor('USER')
}

/** What `explain` knows about this machine. */
export interface LocalFacts {
  /** The user of nix-daemon's ssh, and how that is known; null if it is not known. */
  readonly sshOwner: { readonly user: string; readonly knownBy: string } | null
}

/**
 * Renders the page of a kind in Markdown, which is readable on a terminal too. With facts about this machine, its commands are
 * those for the user of nix-daemon here.
 */
export const renderRunbook = (kind: Kind, facts?: LocalFacts): string => {
  const { meaning, diagnosis, moreAboutFix } = kinds[kind]
  const { sshOwner = null } = facts ?? {}
  const params = {
    ...kindPlaceholders(kind),
    ...(sshOwner ? { sshUser: sshOwner.user } : {}),
  }
  return [
    `# ${kind}`,
    '',
    `> ${formatMessage(kind, params)}`,
    '',
    `Side: ${kindSide(kind)}. State: ${implications[kindState(kind)]}.`,
    '',
    '## Meaning',
    '',
    meaning,
    '',
    '## Diagnosis',
    '',
    diagnosis,
    '',
    '## Fix',
    '',
    ...(facts && dependsOnSshUser(kind) ? [describeOwner(sshOwner), ''] : []),
    ...kindFixes(kind, params).flatMap(renderFix),
    ...(moreAboutFix === undefined ? [] : [moreAboutFix, '']),
    '## Silencing',
    '',
    ...renderSilencing(kind),
    '',
  ].join('\n')
}

const describeOwner = (owner: LocalFacts['sshOwner']): string =>
  owner
    ? `On this machine builds use the ssh of ${owner.user}, known by: ${owner.knownBy}. The keys, known_hosts and ssh_config of this user apply.`
    : 'Whose ssh builds use on this machine is not known: no process, unit or socket of nix-daemon shows its user. Without nix-daemon it is the user who starts the build. The commands assume root.'

const renderFix = (fix: Fix): readonly string[] =>
  'text' in fix
    ? [`${fix.text}.`, '']
    : [
        fix.where === 'here' ? 'On this machine:' : 'On the builder:',
        '',
        '```sh',
        commandLine(fix),
        '```',
        '',
      ]

const renderSilencing = (kind: Kind): readonly string[] => {
  const alert = kindAlert(kind)
  if (alert === null) return ['This kind causes no alert.']
  return [
    `This kind causes the alert [${alert}](${alert}.md). While you fix it:`,
    '',
    '```sh',
    `amtool silence add --duration=2h --comment='known' alertname=${alert} builder=NAME`,
    '```',
    '',
    'To take a builder out of service, drain it: it is not probed then, causes no alerts, and gets no builds where the slot holder',
    'runs. `builder-monitor undrain NAME` ends it.',
    '',
    '```sh',
    "sudo builder-monitor drain NAME --for 2h --reason 'why'",
    '```',
  ]
}

/** Renders the list of all pages. */
export const renderRunbookIndex = (): string =>
  [
    '# Runbooks',
    '',
    'One page for each kind, grouped by side. `builder-monitor explain KIND` prints the same.',
    'Generated by `npm run docs`.',
    ...sides.flatMap(side => [
      '',
      `## ${side}`,
      '',
      ...kindNames
        .filter(kind => kindSide(kind) === side)
        .map(
          kind =>
            `- [${kind}](${kind}.md): ${formatMessage(kind, kindPlaceholders(kind))}`,
        ),
    ]),
    '',
  ].join('\n')

/** Renders the table of all kinds, docs/kinds.md. */
export const renderKindsTable = (): string =>
  [
    '# Kinds',
    '',
    'Every failure has one kind. It is the value of the label `kind` in metrics and of the field `kind` in JSON, and the name',
    'of its page in [runbooks](runbooks/README.md). Generated by `npm run docs`.',
    '',
    '| kind | state | side | message | first fix |',
    '|---|---|---|---|---|',
    ...kindNames.map(kind => {
      const [first] = kindFixes(kind, kindPlaceholders(kind))
      return `| [${kind}](runbooks/${kind}.md) | ${kindState(kind)} | ${kindSide(kind)} | ${cell(formatMessage(kind, kindPlaceholders(kind)))} | ${cell(first ? fixesText([first]) : '')} |`
    }),
    '',
  ].join('\n')

const cell = (content: string): string => content.replaceAll('|', '\\|')
