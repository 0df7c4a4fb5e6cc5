import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const root = fileURLToPath(new URL('..', import.meta.url))

/** Rejected words with their replacement. See docs/contributing/vocabulary.md. */
const rejected: Readonly<Record<string, string>> = {
  'told|tells?|telling': 'reported, sent, printed, known, with a subject',
  'mend(s|ed|ing)?': 'fix',
  'anew|afresh': 'again, new',
  'whom|whoever|whomever': 'the client, the user, the receiver',
  '(no|some|any|every)body': 'no client, every receiver, or a passive',
  'courier|parcel|errand|workshop': 'worker, request, target, sandbox',
  'rungs?|ladder': 'probe, probe order',
  'verdicts?|damped|undamped': 'health, debounced',
  'sentences?|hints?': 'message, fix',
  'doubts?|distrusts?|suspects?|suspicion': 'self-check failed',
  'prove[ns]?|proved|proving|proofs?': 'verified, verify',
  'besides|meanwhile|whereabouts|thereby': 'also, in the meantime, address',
  'shall|lest|dearer': 'must, so that not, more expensive',
  'lend(s|ing)?|lent': 'pass, passed',
  'judge[ds]?|guilty|blame[ds]?': 'evaluate, verify, cause',
  'hall|ground floor|meeting place': 'core types, lowest layer',
  'kin|luck|errands?': 'related, outcome',
  'strangers?': 'untrusted, unknown',
  heard: 'received',
}

/** Text in which a rejected word is the right one. */
const allowed: readonly RegExp[] = [
  /nix-proof|fool-?proof/i,
  // Names of JavaScript, OpenSSH, Nix and HTTP
  /\bno_proof\b/i,
]

const exceptions: readonly string[] = [
  // The list itself
  'docs/contributing/vocabulary.md',
  // Recorded output of other programs
  'test/fixtures/',
]

const checked = [
  'src',
  'docs',
  'README.md',
  'CHANGELOG.md',
  'CONTRIBUTING.md',
  'nix',
  'systemd',
]
const more = [
  'prometheus',
  'grafana',
  'config.schema.json',
  'scripts',
  'bench',
  '.github',
]

const trackedFiles = (): readonly string[] =>
  execFileSync(
    'git',
    [
      'ls-files',
      '-z',
      '--cached',
      '--others',
      '--exclude-standard',
      '--',
      ...checked,
      ...more,
    ],
    {
      cwd: root,
      encoding: 'utf8',
    },
  )
    .split('\0')
    .filter(file => /\.(ts|js|mjs|md|nix|json|yml|service|sh|svg)$/.test(file))
    .filter(file => !exceptions.some(prefix => file.startsWith(prefix)))

t.test('rejected words do not come back', async t => {
  const patterns = Object.entries(rejected).map(
    ([words, instead]) => [new RegExp(`\\b(?:${words})\\b`, 'gi'), instead] as const,
  )
  const found: string[] = []
  for (const file of trackedFiles()) {
    const lines = readFileSync(join(root, file), 'utf8').split('\n')
    for (const [index, line] of lines.entries())
      for (const [pattern, instead] of patterns)
        for (const [word] of line.matchAll(pattern))
          if (!allowed.some(context => context.test(line)))
            found.push(`${file}:${index + 1}: ${word} (use: ${instead})`)
  }
  t.same(found, [])
})

t.test('the vocabulary lists every rejected word', async t => {
  const vocabulary = readFileSync(join(root, 'docs/contributing/vocabulary.md'), 'utf8')
  for (const word of [
    'told',
    'mend',
    'anew',
    'whom',
    'nobody',
    'verdict',
    'proven',
    'lent',
  ])
    t.match(vocabulary, new RegExp(`\\b${word}\\b`), word)
})
