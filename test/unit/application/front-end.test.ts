/** The equivalent's front end, against a Redis that answers as the real one does. */
import test, { type ExecutionContext } from "ava";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import net from "node:net";
import { createFrontEnd } from "../../../src/application/front-end/front-end.js";
import { encoded, Reply } from "../../../src/application/front-end/redis.js";
import { judgeRead, judgeWrite, Tokens } from "../../../src/probes/agent/judge.js";

/** A Redis with one database; `error`: what it answers to every command instead. */
async function redis(
  t: ExecutionContext,
): Promise<{ port: number; data: Map<string, string>; error?: string }> {
  const data = new Map<string, string>();
  const state: { port: number; data: Map<string, string>; error?: string } = { port: 0, data };
  const server = net.createServer((socket) => {
    socket.on("data", (chunk) => {
      const [, , command, , key = "", , value = ""] = chunk.toString("utf8").split("\r\n");
      if (state.error !== undefined) socket.write(`-${state.error}\r\n`);
      else if (command === "SET") {
        data.set(key, value);
        socket.write("+OK\r\n");
      } else {
        const found = data.get(key);
        // In two pieces, as a network may deliver it.
        const reply = Buffer.from(
          found === undefined ? "$-1\r\n" : `$${Buffer.byteLength(found)}\r\n${found}\r\n`,
        );
        socket.write(reply.subarray(0, 3));
        setImmediate(() => socket.write(reply.subarray(3)));
      }
    });
    socket.on("error", () => undefined);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.teardown(() => server.close());
  state.port = (server.address() as AddressInfo).port;
  return state;
}

async function frontEnd(
  t: ExecutionContext,
  redisPort: number,
  env: Record<string, string>,
): Promise<(path: string) => Promise<{ status: number; type: string | null; body: string }>> {
  const server = createFrontEnd({ env, redisPort });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  return async (path) => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers: { connection: "close" } });
    return {
      status: response.status,
      type: response.headers.get("content-type"),
      body: await response.text(),
    };
  };
}

const ENV = {
  GET_HOSTS_FROM: "env",
  REDIS_LEADER_SERVICE_HOST: "127.0.0.1",
  REDIS_FOLLOWER_SERVICE_HOST: "127.0.0.1",
};

test("it answers as the sample's front end: one key for everyone, the value as it is", async (t) => {
  const database = await redis(t);
  const get = await frontEnd(t, database.port, ENV);
  t.deepEqual(await get("/guestbook.php?cmd=get"), {
    status: 200,
    type: "application/json",
    body: '{"data": ""}',
  });
  t.deepEqual(await get("/guestbook.php?cmd=set&key=a&value=x%20%22y%22"), {
    status: 200,
    type: "application/json",
    body: '{"message": "Updated"}',
  });
  t.deepEqual([...database.data], [["guestbook", 'x "y"']]);
  t.is((await get("/guestbook.php?cmd=get&key=b")).body, '{"data": "x "y""}', "no escape, any other key");
  t.is((await get("/guestbook.php?cmd=anything")).body, '{"data": "x "y""}', "every command but set reads");
  t.is((await get("/guestbook.php?cmd=set")).body, '{"message": "Updated"}');
  t.deepEqual([...database.data], [["guestbook", ""]]);
  t.like(await get("/guestbook.php"), { status: 200, type: "text/html" });
  t.regex((await get("/")).body, /<h1>Guestbook<\/h1>/);
  t.is((await get("/other")).status, 404);
});

test("a prober's write and read through it are good", async (t) => {
  const get = await frontEnd(t, (await redis(t)).port, ENV);
  const tokens = new Tokens("20260101t000000z-kube-dns-ab12", "boot", () => 1000);
  const token = tokens.next();
  const write = await get(`/guestbook.php?cmd=set&value=${token}`);
  t.deepEqual(judgeWrite(write.status, write.body), { ok: true });
  tokens.written(token);
  const read = await get("/guestbook.php?cmd=get");
  t.deepEqual(judgeRead(read.status, read.body, tokens, tokens.newestMs), { ok: true });
});

test("what fails is an error's text with status 200, which no one takes for JSON", async (t) => {
  const database = await redis(t);
  database.error = "READONLY You can't write against a read only replica.";
  const get = await frontEnd(t, database.port, ENV);
  const refused = await get("/guestbook.php?cmd=set&value=x");
  t.is(refused.status, 200);
  t.regex(refused.body, /Fatal error<\/b>:\s+Uncaught READONLY/);
  t.like(judgeWrite(refused.status, refused.body), { ok: false, kind: "bad-body" });
  for (const env of [
    {},
    { GET_HOSTS_FROM: "env" },
    { ...ENV, REDIS_FOLLOWER_SERVICE_HOST: "name.invalid" },
  ]) {
    const nowhere = await frontEnd(t, 1, env);
    t.regex((await nowhere("/guestbook.php?cmd=get")).body, /Fatal error/);
  }
});

test("the Redis protocol: lengths in bytes, and replies in any pieces", (t) => {
  t.is(encoded(["SET", "k", "é"]), "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$2\r\né\r\n");
  const whole = Buffer.from("$5\r\na\r\nbé\r\n".replace("$5", "$6"));
  const reply = new Reply();
  const parts = [...whole].map((byte) => reply.add(Buffer.from([byte])));
  t.is(parts.at(-1), "a\r\nbé");
  t.true(parts.slice(0, -1).every((part) => part === undefined));
  t.is(new Reply().add(Buffer.from("$-1\r\n")), null);
  t.throws(() => new Reply().add(Buffer.from(":1\r\n")), { message: /Unknown response prefix/ });
});
