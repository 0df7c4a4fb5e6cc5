/** One sentence for the system's error when an address cannot be listened on; null where it is another error. */
export const describeListenError = (error: unknown): string | null => {
  const { code, address, port } = error as NodeJS.ErrnoException & {
    readonly address?: string
    readonly port?: number
  }
  // Node gives a unix socket a port, -1
  const isSocket = address?.startsWith('/') === true
  const where = isSocket ? address : `${address ?? ''}:${port ?? ''}`
  const format = (reason: string) => `cannot listen on ${where}: ${reason}`
  switch (code) {
    case 'EADDRINUSE':
      return isSocket
        ? format('another program answers there (is a builder-monitor running already?)')
        : format(
            'another program has that address (is a builder-monitor running already? see: ss -ltnp)',
          )
    case 'EACCES':
      return isSocket
        ? format('its directory must exist and be writable for the user that runs this')
        : format('not permitted, take a port above 1023')
    case 'EADDRNOTAVAIL':
      return format('this machine has no such address')
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `cannot listen on ${(error as { hostname?: string }).hostname ?? where}: there is no such name`
    case 'ENOTSOCK':
      return format('there is a file that is no socket; remove it or take another path')
    default:
      return null
  }
}
