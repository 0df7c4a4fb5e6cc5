// A ProxyCommand with a slow link: node delay.mjs HOST PORT DELAY_MS LOSS_PERCENT [START_MS]
// Each piece of data is delayed; a lost one costs a retransmission, and what follows waits for it, as with TCP.
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

const [host, port, delayMs, lossPercent, startMs = 0] = process.argv.slice(2)
const retransmissionMs = 1000

const carry = (from, to) => {
  let sent = Promise.resolve()
  const after = (ms, send) => {
    const due = sleep(ms)
    sent = sent.then(() => due).then(send)
  }
  from.on('data', chunk => {
    const isLost = Math.random() * 100 < Number(lossPercent)
    after(Number(delayMs) + (isLost ? retransmissionMs : 0), () => to.write(chunk))
  })
  from.on('end', () => after(Number(delayMs), () => to.end()))
}

await sleep(Number(startMs))
const socket = connect(Number(port), host)
socket.on('error', error => {
  process.stderr.write(`${error.message}\n`)
  process.exit(1)
})
socket.on('close', () => process.exit(0))
carry(process.stdin, socket)
carry(socket, process.stdout)
