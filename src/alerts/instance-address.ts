/**
 * Returns the `instance` label and the external URL of this monitor, from the first `host:port` that it serves (unix
 * sockets are not reachable from other machines) and the host name.
 */
export const instanceAddress = (
  addresses: readonly string[],
  hostName: string,
  scheme: 'http' | 'https' = 'http',
): { readonly instance: string; readonly externalUrl: string } => {
  const hostAndPort = addresses.flatMap(
    address => /^([^/]*)(:\d+)$/.exec(address)?.slice(1) ?? [],
  )
  const [host = '', port = ''] = hostAndPort
  const isAnyAddress = ['', '0.0.0.0', '[::]'].includes(host)
  return {
    instance: `${hostName}${port}`,
    externalUrl: `${scheme}://${isAnyAddress ? hostName : host}${port}`,
  }
}
