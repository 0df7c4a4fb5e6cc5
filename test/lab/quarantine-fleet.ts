/** A monitor with its slot holder on a client of the lab, and real builds through the nix-daemon of that client. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { BuilderReport, Report } from '../../src/diagnosis/report.ts'
import { freePort } from '../support/free-port.ts'
import { startProgram } from './program.ts'
import {
  atClient,
  inNode,
  machineLine,
  nodes,
  shared,
  waitFor,
  type Client,
  type Node,
} from './support.ts'

const main = 'node /lab/project/dist/main.js'

/** Independent derivations that each take `seconds`. */
const derivations = `{ n, seconds, tag }:
builtins.genList (i: derivation {
  name = "\${tag}-\${toString i}";
  system = "x86_64-linux";
  builder = "/bin/sh";
  args = [ "-c" "sleep \${seconds}; echo $nonce > $out" ];
  PATH = "/usr/bin:/bin";
  nonce = "\${toString builtins.currentTime}-\${toString i}";
}) n`

/**
 * Starts a monitor and a slot holder on a client with three builders, and waits until each was verified. `quarantine`: that
 * part of the configuration; null for neither monitor nor holder.
 */
export const startFleet = async (client: Client, quarantine: object | null) => {
  const dir = await shared()
  const port = await freePort()
  const lines = nodes.map(host => `${machineLine({ scheme: 'ssh-ng', host })}\n`)
  const socket = `${dir.inside}/hold.sock`
  await writeFile(
    join(dir.outside, 'machines'),
    // Enough slots that no build waits for one
    lines.map(line => line.replace(/ \d+( 1 | 1$|$)/, ' 8$1')).join(''),
  )
  await writeFile(join(dir.outside, 'builds.nix'), derivations)
  await writeFile(
    join(dir.outside, 'config.json'),
    JSON.stringify({
      listen: [`127.0.0.1:${port}`],
      schedule: { login: '*/10 * * * * *' },
      quarantine: { socket, ...quarantine },
    }),
  )
  const env = {
    NIX_CONFIG: `builders = @${dir.inside}/machines`,
    RUNTIME_DIRECTORY: dir.inside,
    STATE_DIRECTORY: dir.inside,
  }
  const exports = `export RUNTIME_DIRECTORY=${dir.inside} STATE_DIRECTORY=${dir.inside}`
  const start = (command: string) =>
    startProgram(
      'bash',
      [
        new URL('lab.sh', import.meta.url).pathname,
        ...['client', client, 'sh', '-c', `${exports}; exec ${main} ${command}`],
      ],
      env,
    )
  const holder = quarantine && start(`hold-slots --socket ${socket}`)
  const monitor = quarantine && start(`run --config ${dir.inside}/config.json`)
  const stop = async () => {
    // A signal for the program that entered the namespaces does not reach the one inside
    await inNode(client, `pkill -f '[m]ain.js .*${dir.inside}/'; true`)
    await monitor?.stop()
    await holder?.stop()
    await dir.drop()
  }
  const command = (args: string) => atClient(client, `${exports}; ${main} ${args}`, env)
  const report = async (): Promise<Report | null> => {
    const { stdout } = await command('status --json')
    return stdout ? (JSON.parse(stdout) as Report) : null
  }
  const builder = async (name: Node): Promise<BuilderReport | null> =>
    (await report())?.builders.find(one => one.name === name) ?? null
  const until = (
    what: string,
    name: Node,
    seconds: number,
    isSo: (builder: BuilderReport) => boolean,
  ) =>
    waitFor(`${what} of ${name}`, seconds, async () => {
      const found = await builder(name)
      return found && isSo(found) ? found : null
    })
  if (quarantine)
    await waitFor('verified builders', 60, async () => {
      const now = await report()
      return now?.builders.length === nodes.length &&
        now.builders.every(one => one.probes.canary?.status === 'ok')
        ? now
        : null
    })
  /** Builds through the nix-daemon. Returns the hosts of its builds. */
  const build = async (tag: string, n: number, seconds: number) => {
    const ran = await atClient(
      client,
      `NIX_REMOTE=daemon timeout 300 nix-build --no-out-link --max-jobs 0 --option substitute false --argstr tag ${tag} --argstr seconds ${seconds} --arg n ${n} ${dir.inside}/builds.nix`,
      env,
    )
    const hosts = [...ran.stderr.matchAll(/ on 'ssh-ng:\/\/remotebuild@(b\d)'/g)]
    return { ...ran, on: new Set(hosts.map(([, host]) => host)) }
  }
  return {
    command,
    report,
    builder,
    until,
    build,
    stop,
    holderOutput: () => holder?.output() ?? '',
  }
}
