// A server of Node's `ws` that echoes, from the root of the tree:
// node tests/e2e/node_ws_server.mjs off|on|takeover
// It writes its port, and ends when somebody asks for /quit.
import { createRequire } from 'node:module';

const { WebSocketServer } = createRequire(process.cwd() + '/build/clients/')('ws');
const alone = process.argv[2] === 'on';
const perMessageDeflate = process.argv[2] !== 'off' && {
  threshold: 0, serverNoContextTakeover: alone, clientNoContextTakeover: alone,
};
const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate });

server.on('listening', () => console.log(server.address().port));
server.on('connection', (ws, request) => {
  if (request.url === '/quit') {
    server.close();
    ws.close(1001, 'as you like');
  } else if (request.url === '/extensions') {
    ws.send(ws.extensions);
  }
  ws.on('message', (data, isBinary) => ws.send(data, { binary: isBinary }));
});
