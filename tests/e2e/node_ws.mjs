// Node's `ws` against a wsd that echoes: node tests/e2e/node_ws.mjs URL, from the root of the tree.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createRequire } from 'node:module';

const WebSocket = createRequire(process.cwd() + '/build/clients/')('ws');
const url = process.argv[2];
const MiB = 1024 * 1024;

async function connect() {
  // wsd made the certificate itself: there is nobody to check it with.
  const ws = new WebSocket(url, { rejectUnauthorized: false });
  await once(ws, 'open');
  return ws;
}

// Takes messages in their order; what came before it was asked for is kept.
function inbox(ws) {
  const kept = [];
  let wake = () => {};
  ws.on('message', (data, isBinary) => { kept.push({ data, isBinary }); wake(); });
  return async () => {
    while (kept.length === 0) await new Promise((resolve) => { wake = resolve; });
    return kept.shift();
  };
}

async function closeCleanly(ws, code, reason) {
  const closed = new Promise((resolve) => { ws.onclose = resolve; });
  ws.close(code, reason);
  const event = await closed;
  // RFC 6455 5.5.1: the answer "typically echos the status code"; of the reason it says nothing.
  assert.deepEqual([event.code, event.wasClean], [code, true]);
}

function bytes(size) {
  const data = Buffer.alloc(size);
  for (let i = 0; i < size; i++) data[i] = (i * 31) >> 3;
  return data;
}

const checks = {
  async echoesTextAndBinaryOfEverySize() {
    const ws = await connect();
    const next = inbox(ws);
    for (const size of [0, 1, 125, 126, 65535, 65536, MiB, 16 * MiB]) {
      const sent = bytes(size);
      ws.send(sent);
      const binary = await next();
      assert(binary.isBinary && binary.data.equals(sent), `binary of ${size} bytes`);
      if (size > MiB) continue;
      ws.send('x'.repeat(size));
      const text = await next();
      assert(!text.isBinary && text.data.toString() === 'x'.repeat(size), `text of ${size} bytes`);
    }
    await closeCleanly(ws, 1000, '');
  },

  async echoesUtf8() {
    const ws = await connect();
    const next = inbox(ws);
    const text = 'κόσμε ≠ \u{1F600}\u0000\uFFFF'.repeat(5000);
    ws.send(text);
    const echo = await next();
    assert(!echo.isBinary && echo.data.toString() === text);
    await closeCleanly(ws, 1000, '');
  },

  async echoesFragmentsAsOneMessage() {
    const ws = await connect();
    const next = inbox(ws);
    // The cut is inside of a character; the empty fragments are legal.
    const [text, parts] = [Buffer.from('a€b'), [[0, 2], [2, 2], [2, 4], [4, 5]]];
    parts.forEach(([from, to], i) => {
      ws.send(text.subarray(from, to), { binary: false, fin: i === parts.length - 1 });
      ws.ping();
    });
    assert.equal((await next()).data.toString(), 'a€b');
    const data = bytes(3 * MiB);
    for (let at = 0; at < data.length; at += MiB) {
      ws.send(data.subarray(at, at + MiB), { fin: at + MiB === data.length });
    }
    const echo = await next();
    assert(echo.isBinary && echo.data.equals(data));
    await closeCleanly(ws, 1000, '');
  },

  async answersPings() {
    const ws = await connect();
    for (const payload of ['', 'hi', 'p'.repeat(125)]) {
      ws.ping(payload);
      const [pong] = await once(ws, 'pong');
      assert.equal(pong.toString(), payload);
    }
    await closeCleanly(ws, 1000, '');
  },

  async keepsTheOrderOfPipelinedMessages() {
    const ws = await connect();
    const next = inbox(ws);
    for (let i = 0; i < 1000; i++) ws.send(`message ${i}`);
    for (let i = 0; i < 1000; i++) assert.equal((await next()).data.toString(), `message ${i}`);
    await closeCleanly(ws, 3999, 'all in order');
  },

  async refusesAMessageThatIsTooBig() {
    const ws = await connect();
    const closed = once(ws, 'close');
    ws.send(bytes(16 * MiB + 1));
    assert.equal((await closed)[0], 1009);
  },

  async serves50AtOnce() {
    const all = await Promise.all(Array.from({ length: 50 }, connect));
    await Promise.all(all.map(async (ws, i) => {
      const next = inbox(ws);
      ws.send(`I am ${i}`);
      assert.equal((await next()).data.toString(), `I am ${i}`);
    }));
    await Promise.all(all.map((ws) => closeCleanly(ws, 1000, 'bye')));
  },
};

for (const [name, check] of Object.entries(checks)) {
  console.log(name);  // the last one named is the one that failed or hung
  await check();
}
console.log('all checks passed');
