// Peer: Node's `ws`, with `bufferutil` for masking, which its README advises. Usage: PORT [CERT KEY]
// NODE_PATH does not count for modules, so the folder that has node_modules comes in PEER_MODULES.
import { readFileSync } from "node:fs";
import { createServer as createHttp } from "node:http";
import { createServer as createHttps } from "node:https";
import { createRequire } from "node:module";

const require = createRequire(process.env.PEER_MODULES + "/");
const { WebSocketServer } = require("ws");

const [port, cert, key] = process.argv.slice(2);
const http = cert
  ? createHttps({ cert: readFileSync(cert), key: readFileSync(key) })
  : createHttp();

const subscribers = new Set();
// Compression is agreed on with clients that offer it only; text is checked, by Node's native isUtf8.
const server = new WebSocketServer({ server: http, perMessageDeflate: true });
server.on("connection", (ws, request) => {
  ws.on("error", () => {});
  if (request.url === "/publish") {
    ws.on("message", (data, isBinary) => {
      for (const subscriber of subscribers) subscriber.send(data, { binary: isBinary });
    });
    return;
  }
  // The types stay as they are: a text message is a Buffer here, and needs no decoding.
  ws.on("message", (data, isBinary) => ws.send(data, { binary: isBinary }));
  if (request.url !== "/subscribe") return;
  subscribers.add(ws);
  ws.on("close", () => subscribers.delete(ws));
});
http.listen(Number(port), "127.0.0.1", 4096);
