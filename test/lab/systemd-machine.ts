/** A machine of the lab with a booted systemd. */
import { lab, waitFor, type Ran } from './support.ts'

/** The names of the machines and the versions of their systemd. */
export const machines = { s1: '252', s2: '257', s3: '2' } as const

/** Where the key of the builders is on each machine. */
export const key = '/etc/nix/builder_ed25519'

/** A machine line for a builder. */
export const line = (host: string) => `ssh-ng://remotebuild@${host} x86_64-linux ${key} 2`

/** A root shell on one of the machines. */
export const on = (machine: string) => {
  const run = (command: string): Promise<Ran> =>
    lab(['exec', machine, 'bash', '-c', command])
  /** Returns the output. Throws where the command fails. */
  const must = async (command: string): Promise<string> => {
    const ran = await run(command)
    if (ran.exit !== 0)
      throw new Error(`${command}: exit ${ran.exit}: ${ran.stdout}${ran.stderr}`)
    return ran.stdout
  }
  /** The same without white space around it. */
  const output = async (command: string) => (await must(command)).trim()
  const show = (unit: string, property: string) =>
    output(`systemctl show ${unit} -P ${property}`)
  return { run, must, output, show }
}

/** Waits until something is so. */
export const until = (what: string, isSo: () => Promise<boolean>, seconds = 30) =>
  waitFor(what, seconds, async () => ((await isSo()) ? true : null))
