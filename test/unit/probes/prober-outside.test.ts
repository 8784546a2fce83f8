import test from "ava";
import { checkOutside, startOutsideProbe, type OutsideTarget } from "../../../src/probes/outside-probe.js";
import type { SampleLine } from "../../../src/evidence/sample.js";
import { closedPort, Guestbook, PHP_ERROR, silentPort, until } from "../../helpers/prober-servers.js";

const now = (): number => performance.now();

function targetOf(endpoint: { ip: string; port: number }, timeoutMs = 5000): OutsideTarget {
  return { host: endpoint.ip, port: endpoint.port, path: "/guestbook.php", runId: "run-1", timeoutMs, now };
}

test.serial("a node with an IPv6 address", async (t) => {
  const guestbook = await Guestbook.start("::1");
  t.teardown(() => guestbook.close());
  t.like(await checkOutside(targetOf(guestbook.endpoint)), { ok: true });
});

test.serial("one sample writes a new token without any proxy, and the body decides", async (t) => {
  const guestbook = await Guestbook.start();
  t.teardown(() => guestbook.close());
  process.env.http_proxy = "http://127.0.0.1:1";
  t.teardown(() => delete process.env.http_proxy);
  const target = targetOf(guestbook.endpoint);
  t.like(await checkOutside(target), { probe: "outside", ok: true });
  const token = guestbook.value;
  t.regex(token ?? "", /^run-1~outside-[0-9a-f]{12}~\d+\.\d{3}$/);
  await checkOutside(target);
  t.not(guestbook.value, token);

  guestbook.fault = (_url, response) => response.end(PHP_ERROR);
  const failure = await checkOutside(target);
  t.like(failure, { ok: false, kind: "bad-body" });
  t.notRegex("message" in failure ? (failure.message ?? "") : "", /</);
  guestbook.fault = (_url, response) => response.end('{"message": "Updated", "at": 1}');
  t.like(await checkOutside(target), { ok: true });
  guestbook.fault = (_url, response) => response.writeHead(503).end('{"message": "Updated"}');
  t.like(await checkOutside(target), { ok: false, kind: "http-status" });
  guestbook.fault = (_url, response) => response.writeHead(302, { location: "/guestbook.php" }).end();
  t.like(await checkOutside(target), { ok: false, kind: "http-status" });
  guestbook.fault = (_url, response) => void response.socket?.resetAndDestroy();
  t.like(await checkOutside(target), { ok: false, kind: "reset" });
  guestbook.fault = () => undefined;
  t.like(await checkOutside({ ...target, timeoutMs: 150 }), { ok: false, kind: "timeout" });
  await until("what timed out is closed", async () => (await guestbook.http.open()) === 0);
  t.is(guestbook.http.connections.size, guestbook.http.requests.length, "a connection for each sample");
});

test("a closed port is refused; dropped packets are a timeout", async (t) => {
  t.like(await checkOutside(targetOf(await closedPort())), { ok: false, kind: "refused" });
  const silent = await silentPort();
  t.teardown(() => silent.close());
  const line = await checkOutside(targetOf(silent.endpoint, 150));
  t.like(line, { ok: false, kind: "timeout", message: "no answer within 150 ms" });
});

test("samples overlap at a fixed rate, in the runner's clock, until stop", async (t) => {
  const guestbook = await Guestbook.start();
  t.teardown(() => guestbook.close());
  guestbook.fault = (_url, response) => void setTimeout(() => response.end('{"message": "Updated"}'), 200);
  const lines: SampleLine[] = [];
  const offset = 1_000_000;
  const started = now() + offset;
  const probe = startOutsideProbe({
    ...targetOf(guestbook.endpoint),
    now: () => now() + offset,
    intervalMs: 50,
    onSample: (line) => lines.push(line),
  });
  await until("some samples", () => lines.length >= 5);
  const before = lines.length;
  await probe.stop();
  t.true(lines.length > before, "those under way were waited for");
  const after = lines.length;
  await new Promise((resolve) => setTimeout(resolve, 120));
  t.is(lines.length, after);
  const good = lines.filter((line) => "ok" in line);
  t.true(good.every((line) => line.ok && line.probe === "outside" && line.d >= 195));
  t.is(new Set(guestbook.http.requests.map((url) => url.searchParams.get("value"))).size, good.length);
  for (const line of lines) t.true(line.t >= started && line.t <= now() + offset);
  const ticks = new Set(lines.map((line) => Math.floor((line.t - started) / 50)));
  t.true(ticks.size >= 5, "one a tick, although each takes four ticks");
});
