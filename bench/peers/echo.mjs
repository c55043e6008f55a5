// Node with ws: each message is a POST over a kept connection to nginx, which
// calls PHP.
//
//     node echo.mjs PORT NGINX_PORT CONNECTIONS PROCESSES
import cluster from 'node:cluster'
import http from 'node:http'
import { WebSocketServer } from 'ws'

const [port, nginx, connections, processes] = process.argv.slice(2).map(Number)

if (cluster.isPrimary) {
  for (let i = 0; i < processes; i++) cluster.fork()
} else {
  const agent = new http.Agent({ keepAlive: true, maxSockets: Math.max(1, connections / processes) })
  const server = new WebSocketServer({ host: '127.0.0.1', port, backlog: 4096 })
  server.on('connection', socket => {
    socket.alive = true
    socket.on('pong', () => { socket.alive = true })
    socket.on('error', () => socket.terminate())
    socket.on('message', async body => {
      try {
        socket.send(await ask(agent, body))
      } catch {
        socket.terminate()
      }
    })
  })
  setInterval(() => { // the heartbeat that the documentation of ws shows
    for (const socket of server.clients) {
      if (!socket.alive) {
        socket.terminate()
        continue
      }
      socket.alive = false
      socket.ping()
    }
  }, 25_000)
}

function ask(agent, body) {
  const headers = { 'Content-Type': 'text/plain', 'Content-Length': body.length }
  return new Promise((resolve, reject) => {
    const request = http.request({ port: nginx, host: '127.0.0.1', path: '/echo.php', method: 'POST', agent, headers }, answer => {
      let text = ''
      answer.setEncoding('utf8')
      answer.on('data', part => { text += part })
      answer.on('end', () => answer.statusCode === 200 ? resolve(text) : reject(new Error(text)))
      answer.on('error', reject)
    })
    request.on('error', reject)
    request.end(body)
  })
}
