/**
 * How others know this monitor, from the addresses that it serves (of which the first `host:port` counts, since a unix socket
 * is nowhere else) and the name of this machine.
 */
export const instanceAddress = (
  addresses: readonly string[],
  hostName: string,
  scheme: 'http' | 'https' = 'http',
): { readonly instance: string; readonly externalUrl: string } => {
  const hostAndPort = addresses.flatMap(
    one => /^([^/]*)(:\d+)$/.exec(one)?.slice(1) ?? [],
  )
  const [host = '', port = ''] = hostAndPort
  const isAnyAddress = ['', '0.0.0.0', '[::]'].includes(host)
  return {
    instance: `${hostName}${port}`,
    externalUrl: `${scheme}://${isAnyAddress ? hostName : host}${port}`,
  }
}
