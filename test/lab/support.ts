/** The lab for tests: faults on nodes, and builder-monitor on the clients. */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Fix, ProbeName, State, Side } from '../../src/model/index.ts'

const script = fileURLToPath(new URL('lab.sh', import.meta.url))
export const labDir =
  process.env['LAB_DIR'] || join(process.env['TMPDIR'] || '/tmp', 'builder-lab')
export const keysDir = join(labDir, 'keys')
export const scoreFile = join(labDir, 'score.txt')
export const labNet = process.env['LAB_NET'] || '10.88.0'

/** The builders and their versions of Nix. */
export const builders = { b1: '2.8', b2: '2.26', b3: '2.34' } as const
export type Node = keyof typeof builders
export const nodes = Object.keys(builders) as Node[]

/** The clients and their versions of Nix; `host` is this machine. */
export const clients = { host: '2.8', c3: '2.34' } as const
export type Client = keyof typeof clients | 'c1' | 'c2'
export const clientNames = Object.keys(clients) as (keyof typeof clients)[]

export const schemes = ['ssh-ng', 'ssh'] as const
export type Scheme = (typeof schemes)[number]

export interface Ran {
  readonly exit: number | null
  readonly stdout: string
  readonly stderr: string
  readonly seconds: number
}

/** Runs lab.sh. Resolves for any exit code. */
export const lab = (args: readonly string[], env: NodeJS.ProcessEnv = {}) =>
  new Promise<Ran>((resolve, reject) => {
    const started = performance.now()
    const child = spawn('bash', [script, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, LAB_NODE_BIN: process.execPath, ...env },
    })
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
    child.on('error', reject)
    child.on('close', exit =>
      resolve({ exit, stdout, stderr, seconds: (performance.now() - started) / 1000 }),
    )
  })

const must = async (...args: string[]): Promise<string> => {
  const ran = await lab(args)
  if (ran.exit !== 0)
    throw new Error(`lab.sh ${args.join(' ')} exited with ${ran.exit}: ${ran.stderr}`)
  return ran.stdout
}

export const fault = async (node: Node, name: string) => {
  await must('fault', node, name)
}
export const heal = async (node: Node) => {
  await must('heal', node)
}
/** Runs a shell command in a node, as root. */
export const inNode = (node: Node | Client, command: string) =>
  must('exec', node, 'sh', '-c', command)
/** Runs a shell command on a client. */
export const atClient = (client: Client, command: string, env: NodeJS.ProcessEnv = {}) =>
  lab(['client', client, 'sh', '-c', command], env)

/** A machine line of the lab; the defaults are valid. */
export interface Line {
  readonly scheme: Scheme
  readonly host: string
  readonly user?: string
  /** Text in front of the store URI. */
  readonly prefix?: string
  readonly systems?: string
  readonly key?: string
  /** maxJobs; 2 by default. */
  readonly jobs?: number
  readonly features?: string
  /** Mandatory features. */
  readonly mandatory?: string
  readonly hostKey?: string
  /** Parameters of the store URI. */
  readonly query?: string
}

export const uriOf = ({ scheme, user = 'remotebuild', host, query, prefix = '' }: Line) =>
  `${prefix}${scheme}://${user && `${user}@`}${host}${query ? `?${query}` : ''}`
export const machineLine = (line: Line): string =>
  [
    uriOf(line),
    line.systems ?? 'x86_64-linux',
    line.key ?? '/lab/keys/id',
    `${line.jobs ?? 2} 1`,
    line.features ?? '-',
    line.mandatory ?? '-',
    line.hostKey ?? '-',
  ].join(' ')

/** The fields of `check --json` that the tests use. */
export interface Answer {
  readonly state: State
  readonly builders: readonly BuilderAnswer[]
  readonly problems: readonly unknown[]
  readonly sharedCauses: readonly {
    readonly scope: string
    readonly reason: string
    readonly builders: readonly string[]
  }[]
  readonly client: {
    readonly checks: Readonly<
      Record<
        string,
        {
          readonly status: string
          readonly kind?: string
          readonly reason?: string
          readonly fixes?: readonly Fix[]
        }
      >
    >
  }
}
export interface BuilderAnswer {
  readonly name: string
  readonly storeUri: string
  readonly state: State
  readonly verified: boolean
  readonly notices?: readonly { readonly kind: string; readonly reason: string }[]
  readonly cause: null | {
    readonly probe: ProbeName
    readonly kind: string
    readonly side: Side
    readonly reason: string
    readonly fixes: readonly Fix[]
    readonly reproduce?: string
    readonly evidence?: string
  }
  readonly probes: Readonly<Partial<Record<ProbeName, ProbeAnswer>>>
}
export interface ProbeAnswer {
  readonly status: 'ok' | 'degraded' | 'failed' | 'busy' | 'skipped'
  readonly kind?: string
  readonly durationSeconds: number
  /** End, Unix seconds. */
  readonly at: number
  readonly value?: unknown
}
export interface CanaryRunAnswer {
  readonly system: string
  readonly builtBy: string | null
  readonly systemVerified?: boolean
}

export interface CheckOptions {
  readonly client: Client
  readonly lines: readonly Line[]
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** Additional lines of nix.conf. */
  readonly config?: string
  /** Additional lines of the machines file. */
  readonly extra?: readonly string[]
  /** The user who runs it; root by default. */
  readonly as?: string
}
export interface Check extends Ran {
  readonly answer: Answer
  /** Returns the builder of a line. */
  readonly of: (line: Line) => BuilderAnswer
}

/** Creates a directory that is /lab/share/NAME on every client. */
export const shared = async () => {
  const name = randomBytes(6).toString('hex')
  const outside = join(labDir, 'share', name)
  await mkdir(outside, { recursive: true })
  return {
    outside,
    inside: `/lab/share/${name}`,
    drop: () => rm(outside, { recursive: true, force: true }),
  }
}

/** Runs `check --canary --json` with these lines only. Can run concurrently. */
export const check = async (options: CheckOptions): Promise<Check> => {
  const dir = await shared()
  try {
    const text = [...options.lines.map(machineLine), ...(options.extra ?? [])]
      .map(line => `${line}\n`)
      .join('')
    const { as } = options
    const env = {
      ...(as && { HOME: `/home/${as}`, USER: as, LOGNAME: as }),
      ...options.env,
    }
    await writeFile(join(dir.outside, 'machines'), text)
    const ran = await lab(
      [
        ...['client', options.client, 'timeout', '--kill-after=5', '600'],
        ...(as ? ['runuser', '-u', as, '--'] : []),
        ...['env', ...Object.entries(env).map(([k, v]) => `${k}=${v}`)],
        ...['node', '/lab/project/dist/main.js'],
        ...(options.args ?? ['check', '--canary', '--json']),
      ],
      { NIX_CONFIG: `builders = @${dir.inside}/machines\n${options.config ?? ''}` },
    )
    const answer = parse(ran)
    return {
      ...ran,
      answer,
      of: line => {
        const matching = answer.builders.filter(b => b.storeUri === uriOf(line))
        const [builder] = matching
        if (!builder || matching.length > 1)
          throw new Error(
            `${matching.length} builders ${uriOf(line)} in the output: ${ran.stderr.slice(-2000)}`,
          )
        return builder
      },
    }
  } finally {
    await dir.drop()
  }
}

const parse = (ran: Ran): Answer => {
  try {
    return JSON.parse(ran.stdout) as Answer
  } catch {
    throw new Error(
      `no JSON, exit ${ran.exit}\nstdout: ${ran.stdout.slice(0, 2000)}\nstderr: ${ran.stderr.slice(-2000)}`,
    )
  }
}

/** Multiplies deadlines, for a busy machine. */
const slack = 3

/** Polls until the result is not null. Throws after three times `seconds`. */
export const waitFor = async <T>(
  what: string,
  seconds: number,
  poll: () => Promise<T | null>,
): Promise<T> => {
  const end = performance.now() + slack * seconds * 1000
  for (;;) {
    const result = await poll()
    if (result !== null) return result
    if (performance.now() > end) throw new Error(`waited ${seconds} s for ${what}`)
    await new Promise(resolve => setTimeout(resolve, 100))
  }
}
