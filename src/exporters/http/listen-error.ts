/** Describes the system's error for an address that cannot be bound; null for other errors. */
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
        ? format('the socket is in use (is builder-monitor already running?)')
        : format(
            'the address is in use (is builder-monitor already running? see: ss -ltnp)',
          )
    case 'EACCES':
      return isSocket
        ? format('the directory must exist and be writable for the user of this process')
        : format('permission denied, use a port above 1023')
    case 'EADDRNOTAVAIL':
      return format('the address does not belong to this machine')
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `cannot listen on ${(error as { hostname?: string }).hostname ?? where}: unknown host name`
    case 'ENOTSOCK':
      return format(
        'the path is a file that is not a socket; remove it or use another path',
      )
    default:
      return null
  }
}
