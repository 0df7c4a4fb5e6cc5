import { constants } from 'node:fs'
import { access, readFile } from 'node:fs/promises'
import { networkInterfaces } from 'node:os'
import { dirname } from 'node:path'
import type { OptionFacts, SshOptions } from './option-rules.ts'

/** Reads what the rules about options need to know about this machine. */
export const readOptionFacts = async (
  options: SshOptions,
  nixVersion: string | null,
  keyTypes: readonly string[],
): Promise<OptionFacts> => {
  const interfaces = networkInterfaces()
  const needsListeners = options.get('exitonforwardfailure')?.[0] === 'yes'
  const [missingPaths, listening] = await Promise.all([
    findMissing(options),
    needsListeners ? readListening() : new Set<string>(),
  ])
  return {
    nixVersion,
    keyTypes,
    interfaces: new Set(Object.keys(interfaces)),
    localAddresses: new Set([
      '0.0.0.0',
      '::',
      ...Object.values(interfaces).flatMap(all => (all ?? []).map(each => each.address)),
    ]),
    missingPaths,
    listening,
  }
}

const findMissing = async (options: SshOptions): Promise<ReadonlySet<string>> => {
  const missing = new Set<string>()
  const check = async (option: string, toPath: (value: string) => string) => {
    for (const value of options.get(option) ?? [])
      if (
        value.startsWith('/') &&
        !(await access(toPath(value), constants.R_OK).then(
          () => true,
          () => false,
        ))
      )
        missing.add(value)
  }
  await Promise.all([
    check('revokedhostkeys', path => path),
    check('controlpath', dirname),
  ])
  return missing
}

/** Returns the listening TCP ports and unix sockets (proc(5), /proc/net). Empty where there is no /proc. */
const readListening = async (): Promise<ReadonlySet<string>> => {
  const read = (name: string) => readFile(`/proc/net/${name}`, 'utf8').catch(() => '')
  const [tcp, tcp6, unix] = await Promise.all([read('tcp'), read('tcp6'), read('unix')])
  const ports = `${tcp}\n${tcp6}`.split('\n').flatMap(line => {
    const [, local, , state] = line.trim().split(/\s+/)
    const port = local?.split(':')[1]
    // 0A: LISTEN
    return state === '0A' && port !== undefined ? [String(parseInt(port, 16))] : []
  })
  const sockets = unix.split('\n').flatMap(line => {
    const path = line.trim().split(/\s+/)[7]
    return path?.startsWith('/') ? [path] : []
  })
  return new Set([...ports, ...sockets])
}
