import { createServer } from 'node:net'

/** Above the well-known ports and below those that the kernel gives to outgoing connections (32768 in ip_local_port_range). */
const lowest = 10_000
const highest = 32_000

/**
 * Returns a TCP port of the loopback interface that is free now. No outgoing connection of another test takes it before it
 * is used, as it can happen with a port that the kernel chose.
 */
export const freePort = async (): Promise<number> => {
  for (;;) {
    const port = lowest + Math.floor(Math.random() * (highest - lowest))
    if (await isFree(port)) return port
  }
}

const isFree = (port: number) =>
  new Promise<boolean>(resolve => {
    const server = createServer().on('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
