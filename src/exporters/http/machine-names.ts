import { lookupService } from 'node:dns/promises'
import { readFile } from 'node:fs/promises'
import { hostname, networkInterfaces } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'

const dnsTimeoutMs = 2000
const maxAddresses = 16

/** Returns the names of a machine from its host name and its hosts file (hosts(5)). */
export const machineNames = (
  host: string,
  hosts: string,
  addresses: ReadonlySet<string>,
): ReadonlySet<string> => {
  const [short = host] = host.split('.', 1)
  const names = new Set([host, short, `${short}.local`])
  for (const line of hosts.split('\n').slice(0, 10_000)) {
    const [address = '', ...aliases] = line
      .slice(0, 2000)
      .split('#', 1)[0]!
      .trim()
      .split(/\s+/)
    if (address.startsWith('127.') || addresses.has(address))
      for (const alias of aliases) names.add(alias)
  }
  return names
}

/** Returns the names of this machine. Never rejects. */
export const readMachineNames = async (): Promise<ReadonlySet<string>> => {
  const hosts = await readFile('/etc/hosts', 'utf8').catch(() => '')
  return machineNames(hostname(), hosts, new Set([...ownAddresses(), '::1']))
}

/** Returns the names that DNS has for the addresses of this machine, after at most two seconds. Never rejects. */
export const readDnsNames = async (): Promise<readonly string[]> => {
  const names: string[] = []
  const lookups = ownAddresses()
    .slice(0, maxAddresses)
    .map(async address => {
      const { hostname: name } = await lookupService(address, 0)
      names.push(name)
    })
  await Promise.race([
    Promise.allSettled(lookups),
    delay(dnsTimeoutMs, undefined, { ref: false }),
  ])
  return [...names]
}

const ownAddresses = (): readonly string[] =>
  Object.values(networkInterfaces())
    .flatMap(list => list ?? [])
    .filter(({ internal }) => !internal)
    .map(({ address }) => address)
