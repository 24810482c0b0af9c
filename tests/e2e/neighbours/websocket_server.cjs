// An echo server: npm's ws. Says where it listens, and how each connection ended.
const [modules, protocol] = process.argv.slice(2);
const { WebSocketServer } = require(`${modules}/ws`);

const server = new WebSocketServer({
  host: '127.0.0.1',
  port: 0,
  perMessageDeflate: true,
  maxPayload: 8 << 20,
  handleProtocols: (offered) => (offered.has(protocol) ? protocol : false),
});
server.on('listening', () => {
  const { address, port } = server.address();
  console.log(`ws: listening on ${address}:${port}`);
});
server.on('connection', (socket, request) => {
  console.log(`ws: from ${request.headers['x-forwarded-for']}`);
  socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
  socket.on('close', (code, reason) => console.log(`ws: closed ${code} ${reason}`));
  socket.on('error', (error) => console.log(`ws: error ${error.code}`));
});
