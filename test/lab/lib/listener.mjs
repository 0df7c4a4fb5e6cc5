// A server on port 22 that does not speak SSH: node listener.mjs tarpit|garbage|garbage-close|binary
import { randomBytes } from 'node:crypto'
import { createServer } from 'node:net'

const mode = process.argv[2]
const http = 'HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n'
const behave = {
  tarpit: () => {},
  garbage: socket => socket.write(http),
  'garbage-close': socket => socket.end(http),
  binary: socket => {
    const write = () => {
      while (socket.writable && socket.write(randomBytes(4096)));
    }
    socket.on('drain', write)
    write()
  },
}[mode]
createServer(socket => {
  socket.on('error', () => {})
  socket.on('data', () => {})
  behave(socket)
}).listen(22, '0.0.0.0', 50)
