// node proxy.mjs HOST:PORT: a page of https://example.com, which is served there, opens a socket,
// sends a message of 1 MiB and gets it back. Prints the status of the handshake, 101, or 200
// where it was a stream of the page's HTTP/2 connection (RFC 8441), and what came back.
import { openProfile } from '../../browser/lib.mjs';

const { context, done } = await openProfile([`--host-resolver-rules=MAP example.com:443 ${process.argv[2]}`, '--ignore-certificate-errors']);
try {
  const page = await context.newPage();
  const tools = await context.newCDPSession(page);
  await tools.send('Network.enable');
  tools.on('Network.webSocketHandshakeResponseReceived', ({ response }) => console.log(response.status));
  await page.goto('https://example.com/');
  console.log(await page.evaluate(() => new Promise((resolve) => {
    const message = 'ä'.repeat(1 << 19);
    const socket = new WebSocket('wss://example.com/ws/echo');
    socket.onopen = () => socket.send(message);
    socket.onmessage = ({ data }) => resolve(data === message ? 'echo' : 'something else');
    socket.onclose = ({ code }) => resolve(`closed ${code}`);
  })));
} finally {
  await done();
}
