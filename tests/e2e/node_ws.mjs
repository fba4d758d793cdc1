// Node's `ws` against a wsd that echoes, from the root of the tree:
// node tests/e2e/node_ws.mjs URL [COMPRESSION]
// With a COMPRESSION, the check is 10,000 messages that are compressed in this way.
import assert from 'node:assert/strict';
import { createCipheriv } from 'node:crypto';
import { once } from 'node:events';
import { createRequire } from 'node:module';

const WebSocket = createRequire(process.cwd() + '/build/clients/')('ws');
const [url, compression] = process.argv.slice(2);
const MiB = 1024 * 1024;

function open(perMessageDeflate) {
  // wsd made the certificate itself: there is nobody to check it with.
  return new WebSocket(url, { rejectUnauthorized: false, perMessageDeflate });
}

async function connect(perMessageDeflate = true) {
  const ws = open(perMessageDeflate);
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
    for (const compressed of [false, true]) {
      const ws = await connect(compressed);
      assert.equal(ws.extensions, compressed ? 'permessage-deflate' : '');
      const next = inbox(ws);
      for (const size of [0, 1, 125, 126, 65535, 65536, MiB, 16 * MiB]) {
        const sent = bytes(size);
        ws.send(sent);
        const binary = await next();
        assert(binary.isBinary && binary.data.equals(sent), `binary of ${size} bytes`);
        if (size > MiB) continue;
        ws.send('x'.repeat(size));
        const text = await next();
        assert(!text.isBinary && text.data.equals(Buffer.alloc(size, 'x')), `text of ${size}`);
      }
      await closeCleanly(ws, 1000, '');
    }
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

// What the client offers, and what the answer must say of context takeover. A wsd that was started
// with --deflate takeover keeps its context, and lets the client keep its own, unless the client
// asks for the opposite; with --deflate on nobody keeps any.
const noContextTakeover = ['client_no_context_takeover', 'server_no_context_takeover'];
const compressions = {
  'on': { offer: {}, answer: noContextTakeover },
  'takeover': { offer: {}, answer: [] },
  'takeover-declined': {
    offer: { clientNoContextTakeover: true, serverNoContextTakeover: true },
    answer: noContextTakeover,
  },
};

const json = JSON.stringify(Array.from({ length: 26_000 }, (_, id) => (
  { id, user: `user ${(id * 7919) % 1000}`, tags: ['a', 'b'].slice(id % 3), price: id * 0.75 })));
// The same in each run.
const noise = createCipheriv('aes-128-ctr', Buffer.alloc(16), Buffer.alloc(16))
  .update(Buffer.alloc(1.5 * MiB));

// Every size up to 2 KiB, and each 1,999th message is large: 0.2, 0.4, ... 1 MiB. Neighbours
// overlap: most of a message is in the ones before it.
function message(i) {
  const size = i % 1999 === 1998 ? Math.floor((i + 1) * MiB / 9995) : 1 + (i * 1237) % 2048;
  const at = (i * 41) % (MiB / 4);
  switch (i % 5) {
    case 0: return noise.subarray(at, at + size);
    case 1: return noise.toString('latin1', at, at + size);
    case 2: return Buffer.from(json.slice(at, at + size));
    default: return json.slice(at, at + size);
  }
}

async function exchanges10000CompressedMessages({ offer, answer }) {
  const ws = open({ threshold: 0, ...offer });
  const [[response]] = await Promise.all([once(ws, 'upgrade'), once(ws, 'open')]);
  assert.equal(ws.extensions, 'permessage-deflate');
  const answered = response.headers['sec-websocket-extensions'];
  assert.deepEqual(answered.match(/\w+_no_context_takeover/g)?.sort() ?? [], answer);
  ws.on('close', (code) => console.log(`closed with ${code}`));  // else a failure would be silent
  const next = inbox(ws);
  const [count, inFlight] = [10_000, 20];
  let length = 0;
  for (let i = 0; i < count + inFlight; i++) {
    if (i < count) ws.send(message(i));
    if (i < inFlight) continue;
    const [sent, echo] = [message(i - inFlight), await next()];
    const what = `message ${i - inFlight}: ${sent.length} sent, ${echo.data.length} received`;
    assert(echo.data.equals(Buffer.from(sent)), what);
    assert.equal(echo.isBinary, typeof sent !== 'string', what);
    length += echo.data.length;
  }
  // So wsd did compress, and did look into its context if it has one.
  const ratio = response.socket.bytesRead / length;
  assert(ratio < (answer.length === 0 ? 0.4 : 0.7), `ratio ${ratio}`);
  await closeCleanly(ws, 1000, '');
}

if (compression) {
  await exchanges10000CompressedMessages(compressions[compression]);
} else {
  for (const [name, check] of Object.entries(checks)) {
    console.log(name);  // the last one named is the one that failed or hung
    await check();
  }
}
console.log('all checks passed');
