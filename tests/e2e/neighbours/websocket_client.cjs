// A client of the echo server, npm's ws: does what it is told and says how it went, in one line of JSON.
const [modules, url, task, ...rest] = process.argv.slice(2);
const { WebSocket } = require(`${modules}/ws`);
const { randomBytes } = require('node:crypto');

const options = { perMessageDeflate: rest.includes('deflate'), rejectUnauthorized: false, maxPayload: 8 << 20 };
const connect = () =>
  new Promise((resolve, reject) => {
    const socket = new WebSocket(url, ['echo.test'], options);
    socket.once('open', () => resolve(socket));
    socket.once('error', reject);
    socket.once('unexpected-response', (request, response) => {
      request.destroy();
      reject(new Error(`status ${response.statusCode}`));
    });
  });
const once = (socket, event) => new Promise((resolve) => socket.once(event, (...values) => resolve(values)));

async function echo(socket, data) {
  const answered = once(socket, 'message');
  socket.send(data);
  const [got, isBinary] = await answered;
  const sent = Buffer.from(data);
  return isBinary === (typeof data !== 'string') && sent.equals(got);
}

const tasks = {
  async messages() {
    const socket = await connect();
    const good = [];
    for (const size of [0, 1, 125, 126, 65535, 65536, 1 << 20]) good.push(await echo(socket, randomBytes(size)));
    good.push(await echo(socket, 'text ✓'));
    const pong = once(socket, 'pong');
    socket.ping('are you there');
    good.push((await pong)[0].toString() === 'are you there');
    const closed = once(socket, 'close');
    socket.close(4001, 'enough');
    const [code, reason] = await closed;
    return { good, protocol: socket.protocol, extensions: socket.extensions, code, reason: reason.toString() };
  },
  async many() {
    const sockets = await Promise.all(Array.from({ length: 200 }, connect));
    const results = await Promise.all(
      sockets.map(async (socket, number) => {
        for (let round = 0; round < 20; ++round) {
          if (!(await echo(socket, `${number}/${round}/${'x'.repeat(round * 100)}`))) return false;
        }
        return true;
      }),
    );
    const closed = sockets.map((socket) => once(socket, 'close'));
    for (const socket of sockets) socket.close();
    await Promise.all(closed);
    return { connections: sockets.length, good: results.filter(Boolean).length };
  },
  // Sends far more than all buffers hold before it reads anything.
  async flood() {
    const socket = await connect();
    const total = 64;
    socket.pause();
    for (let i = 0; i < total; ++i) socket.send(Buffer.alloc(1 << 20, i));
    let good = 0;
    const all = new Promise((resolve) => {
      socket.on('message', (data) => {
        if (data.length === 1 << 20 && data[0] === good && data[data.length - 1] === good) ++good;
        if (good === total) resolve();
      });
    });
    setTimeout(() => socket.resume(), 500);
    await all;
    socket.terminate();
    return { good };
  },
  async idle() {
    const socket = await connect();
    const began = Date.now();
    const [code] = await once(socket, 'close');
    return { code, seconds: (Date.now() - began) / 1000 };
  },
  async refused() {
    await connect();
    return { refused: false };
  },
};

tasks[task]().then(
  (result) => console.log(JSON.stringify(result)),
  (error) => console.log(JSON.stringify({ error: error.message })),
);
