/** How others know this monitor, from the address that it serves (`host:port`) and the name of this machine. */
export const whereabouts = (
  address: string,
  hostName: string,
): { readonly instance: string; readonly externalUrl: string } => {
  const [, host = '', port = ''] = /^(.*):(\d+)$/.exec(address) ?? []
  const isEverywhere = ['', '0.0.0.0', '[::]'].includes(host)
  return {
    instance: `${hostName}:${port}`,
    externalUrl: `http://${isEverywhere ? hostName : host}:${port}`,
  }
}
