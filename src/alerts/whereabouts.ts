/**
 * How others know this monitor, from the addresses that it serves (of which the first `host:port` counts, since a unix socket
 * is nowhere else) and the name of this machine.
 */
export const whereabouts = (
  addresses: readonly string[],
  hostName: string,
  scheme: 'http' | 'https' = 'http',
): { readonly instance: string; readonly externalUrl: string } => {
  const found = addresses.flatMap(one => /^([^/]*)(:\d+)$/.exec(one)?.slice(1) ?? [])
  const [host = '', port = ''] = found
  const isEverywhere = ['', '0.0.0.0', '[::]'].includes(host)
  return {
    instance: `${hostName}${port}`,
    externalUrl: `${scheme}://${isEverywhere ? hostName : host}${port}`,
  }
}
