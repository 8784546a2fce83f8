import test from "ava";
import { dnsQuery, idOfAnswer, judgeAnswer, RECORD } from "../../../src/probes/agent/dns-message.js";
import type { Outcome } from "../../../src/probes/agent/judge.js";
import { nameserverIn, SameSocketProbe } from "../../../src/probes/agent/measure-same-socket.js";
import { closedPort, LocalDns, until } from "../../helpers/prober-servers.js";
import { outcomeOf } from "../../helpers/outcome.js";

/** Long enough for any response over loopback on a busy machine, ms. */
const TIMEOUT = 5000;
/** For expected time-outs, ms. */
const SHORT = 150;
const NAME = "redis-leader.guestbook.svc.cluster.local";

test("a question as RFC 1035 has it", (t) => {
  t.is(
    dnsQuery(0xabcd, "a.bc.", RECORD.A).toString("hex"),
    ["abcd", "0100", "0001", "0000", "0000", "0000", "0161", "026263", "00", "0001", "0001"].join(""),
  );
  t.is(dnsQuery(1, "a", RECORD.AAAA).toString("hex").slice(-8), "001c0001");
});

test("an answer: a record of the asked type is good, also behind an alias", (t) => {
  const header = (flags: string, answers: string): string => `0001${flags}0001${answers}00000000`;
  const question = "0161000001" + "0001";
  const alias = "c00c" + "0005" + "0001" + "0000001e" + "0003" + "016200";
  const address = "c00c" + "0001" + "0001" + "0000001e" + "0004" + "0a000001";
  const judged = (hex: string, type: number = RECORD.A): Outcome =>
    judgeAnswer(Buffer.from(hex, "hex"), type);
  t.deepEqual(judged(header("8180", "0001") + question + address), { ok: true });
  t.deepEqual(judged(header("8180", "0002") + question + alias + address), { ok: true });
  t.like(judged(header("8180", "0001") + question + alias), { ok: false, kind: "no-data" });
  t.like(judged(header("8180", "0001") + question + address, RECORD.AAAA), { kind: "no-data" });
  t.like(judged(header("8180", "0000") + question), { kind: "no-data" });
  t.deepEqual(judged(header("8380", "0000") + question), { ok: true }, "cut: a client asks again over TCP");
  t.like(judged(header("8183", "0000") + question), { kind: "nxdomain" });
  t.like(judged(header("8182", "0000") + question), { kind: "servfail" });
  t.like(judged(header("8185", "0000") + question), { kind: "refused" });
  t.like(judged(header("8184", "0000") + question), {
    kind: "other",
    message: "the DNS server answered with code 4",
  });
  const whole = header("8180", "0002") + question + alias + address;
  for (let length = 0; length < whole.length - 28; length += 2)
    t.notThrows(() => judged(whole.slice(0, length)), `${length / 2} bytes`);
});

test("a question, and a message that is too short, are no answers", (t) => {
  t.is(idOfAnswer(dnsQuery(7, "a", RECORD.A)), undefined);
  t.is(idOfAnswer(Buffer.alloc(3)), undefined);
});

test("the first name server of a resolv.conf", (t) => {
  t.is(
    nameserverIn("search a\n# nameserver 1.1.1.1\nnameserver 10.96.0.10\nnameserver 8.8.8.8\n"),
    "10.96.0.10",
  );
  t.is(nameserverIn("options ndots:5\n"), undefined);
});

test("every look-up has the same source port, also after a time-out", async (t) => {
  const server = await LocalDns.start();
  const probe = new SameSocketProbe(() => server.address);
  t.teardown(() => {
    probe.close();
    server.close();
  });
  t.deepEqual(await outcomeOf(probe.measure(NAME, TIMEOUT)), { ok: true });
  server.answer = "silence";
  t.like(await outcomeOf(probe.measure(NAME, SHORT)), { ok: false, kind: "timeout" });
  server.answer = "address";
  t.deepEqual(await outcomeOf(probe.measure(`${NAME}.`, TIMEOUT)), { ok: true });
  server.answer = "SERVFAIL";
  t.like(await outcomeOf(probe.measure(NAME, TIMEOUT)), { ok: false, kind: "servfail" });
  server.answer = "cut";
  t.like(await outcomeOf(probe.measure(NAME, TIMEOUT)), { ok: false, kind: "bad-body" });
  t.deepEqual(server.questions, [NAME, NAME, NAME, NAME, NAME]);
  t.is(new Set(server.ports).size, 1);
  probe.close();
  t.like(await outcomeOf(probe.measure(NAME, TIMEOUT, 6)), { ok: false });
  t.is(server.types.at(-1), RECORD.AAAA);
  t.is(new Set(server.ports).size, 2, "a closed socket is not used again");
});

test("answers are matched by id: look-ups overlap, and a late answer is not another look-up's", async (t) => {
  const server = await LocalDns.start();
  const probe = new SameSocketProbe(() => server.address);
  t.teardown(() => {
    probe.close();
    server.close();
  });
  server.late = true;
  const first = outcomeOf(probe.measure(NAME, SHORT));
  await until("the first question", () => server.kept.length === 1);
  t.like(await first, { kind: "timeout" });
  server.answer = "NXDOMAIN";
  const second = outcomeOf(probe.measure(NAME, TIMEOUT));
  await until("the second question", () => server.kept.length === 2);
  server.answer = "address";
  const third = outcomeOf(probe.measure(NAME, TIMEOUT));
  await until("the third question", () => server.kept.length === 3);
  for (const send of [2, 0, 1]) server.kept[send]?.();
  t.like(await second, { kind: "nxdomain" });
  t.deepEqual(await third, { ok: true });
});

test("a port that nobody listens on is refused at once; the same socket works when it is back", async (t) => {
  const { port } = await closedPort();
  const probe = new SameSocketProbe(() => `127.0.0.1:${port}`);
  t.like(await outcomeOf(probe.measure(NAME, TIMEOUT)), { ok: false, kind: "refused" });
  const server = await LocalDns.start(port);
  t.teardown(() => {
    probe.close();
    server.close();
  });
  t.deepEqual(await outcomeOf(probe.measure(NAME, TIMEOUT)), { ok: true });
});

test("without a name server there is nothing to ask; a socket that cannot open is tried again", async (t) => {
  t.like(await outcomeOf(new SameSocketProbe(() => undefined).measure(NAME, TIMEOUT)), { kind: "no-target" });
  const server = await LocalDns.start();
  const servers = ["no-address-at-all.invalid", server.address];
  const probe = new SameSocketProbe(() => servers.shift());
  t.teardown(() => {
    probe.close();
    server.close();
  });
  const { message } = await outcomeOf(probe.measure(NAME, TIMEOUT));
  t.regex(String(message), /no-address-at-all/);
  t.deepEqual(await outcomeOf(probe.measure(NAME, TIMEOUT)), { ok: true });
});
