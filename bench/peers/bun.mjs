// Peer: Bun, which carries uWebSockets. Usage: PORT [CERT KEY]
const [port, cert, key] = process.argv.slice(2);

Bun.serve({
  hostname: "127.0.0.1",
  port: Number(port),
  tls: cert ? { cert: Bun.file(cert), key: Bun.file(key) } : undefined,
  fetch(request, server) {
    if (server.upgrade(request, { data: { path: new URL(request.url).pathname } })) return;
    return new Response("WebSocket only\n", { status: 426 });
  },
  websocket: {
    perMessageDeflate: true, // with clients that offer it
    // Enough for a pipeline of the largest messages; the defaults drop what is beyond 1 MiB or so.
    maxPayloadLength: 16 * 1024 * 1024,
    backpressureLimit: 64 * 1024 * 1024,
    open(ws) {
      if (ws.data.path === "/subscribe") ws.subscribe("all");
    },
    message(ws, message) {
      if (ws.data.path === "/publish") {
        ws.publish("all", message);
      } else {
        ws.send(message, true); // compressed, where that was agreed on
      }
    },
  },
});
