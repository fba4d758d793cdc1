// The WebSocket that Node and browsers have built in, against a wsd that echoes:
// node --experimental-websocket tests/e2e/web_socket.js URL..., or in browser.html.
const MiB = 1024 * 1024;
// Node (20.20 at least) takes no more than 4 MiB out of a compressed message.
const largest = (typeof process === 'object' ? 4 : 16) * MiB;

function expect(condition, what) {
  if (!condition) throw new Error(what);
}

function connect(url) {
  return new Promise((resolve, reject) => {
    const ws = new WebSocket(url);
    ws.binaryType = 'arraybuffer';
    ws.onopen = () => resolve(ws);
    ws.onerror = () => reject(new Error('cannot connect to ' + url));
  });
}

// Takes messages in their order; what came before it was asked for is kept.
function inbox(ws) {
  const kept = [];
  let wake = () => {};
  ws.onmessage = (event) => { kept.push(event.data); wake(); };
  return async () => {
    while (kept.length === 0) await new Promise((resolve) => { wake = resolve; });
    return kept.shift();
  };
}

async function closeCleanly(ws, code, reason) {
  const closed = new Promise((resolve) => { ws.onclose = resolve; });
  ws.close(code, reason);
  const event = await closed;
  expect(event.code === code && event.wasClean, `close: ${event.code}, clean: ${event.wasClean}`);
}

function bytes(size) {
  return new Uint8Array(size).map((_, i) => (i * 31) >> 3);
}

function same(buffer, data) {
  const got = new Uint8Array(buffer);
  return got.length === data.length && got.every((byte, i) => byte === data[i]);
}

async function echoesTextAndBinaryOfEverySize(url) {
  const ws = await connect(url);
  const next = inbox(ws);
  for (const size of [0, 1, 125, 126, 65535, 65536, MiB, largest]) {
    const data = bytes(size);
    ws.send(data);
    expect(same(await next(), data), `binary of ${size} bytes`);
    if (size > MiB) continue;
    ws.send('x'.repeat(size));
    expect(await next() === 'x'.repeat(size), `text of ${size} bytes`);
  }
  const text = 'κόσμε ≠ \u{1F600}\u0000\uFFFF'.repeat(5000);
  ws.send(text);
  expect(await next() === text, 'UTF-8');
  await closeCleanly(ws, 1000, '');
}

async function echoesWhatItCompresses(url) {
  const ws = await connect(url);
  expect(ws.extensions.includes('permessage-deflate'), `extensions: "${ws.extensions}"`);
  const next = inbox(ws);
  for (const count of [400, 1000, 3000]) {  // 10, 24 and 75 KiB
    const items = Array.from({ length: count }, (_, id) => ({ id, price: id * 0.75 }));
    const text = JSON.stringify(items);
    const data = new TextEncoder().encode(text);
    ws.send(text);
    ws.send(data);
    expect(await next() === text, `text of ${text.length} bytes`);
    expect(same(await next(), data), `binary of ${data.length} bytes`);
  }
  await closeCleanly(ws, 1000, '');
}

async function keepsTheOrderOfPipelinedMessages(url) {
  const ws = await connect(url);
  const next = inbox(ws);
  for (let i = 0; i < 1000; i++) ws.send(`message ${i}`);
  for (let i = 0; i < 1000; i++) expect(await next() === `message ${i}`, `message ${i}`);
  await closeCleanly(ws, 3999, 'all in order');
}

async function refusesAMessageThatIsTooBig(url) {
  const ws = await connect(url);
  const closed = new Promise((resolve) => { ws.onclose = resolve; });
  ws.send(new Uint8Array(16 * MiB + 1));
  const { code } = await closed;
  expect(code === 1009, `too big: ${code}`);
}

// Not more: Chromium makes a page wait for seconds when it opens many at once.
async function serves10AtOnce(url) {
  const all = await Promise.all(Array.from({ length: 10 }, () => connect(url)));
  await Promise.all(all.map(async (ws, i) => {
    const next = inbox(ws);
    ws.send(`I am ${i}`);
    expect(await next() === `I am ${i}`, `connection ${i}`);
  }));
  await Promise.all(all.map((ws) => closeCleanly(ws, 1000, 'bye')));
}

async function runChecks(urls) {
  for (const url of urls) {
    await echoesTextAndBinaryOfEverySize(url);
    await echoesWhatItCompresses(url);
    await keepsTheOrderOfPipelinedMessages(url);
    await refusesAMessageThatIsTooBig(url);
    await serves10AtOnce(url);
  }
  return 'all checks passed';
}

// A browser has no process: there the page calls it.
if (typeof process === 'object') runChecks(process.argv.slice(2)).then(console.log);
