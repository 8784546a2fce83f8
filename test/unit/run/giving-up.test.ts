import test from "ava";
import { API_AWAY_LIMIT_MS, GivingUp } from "../../../src/run/giving-up.js";

function givingUp(): {
  readonly g: GivingUp;
  readonly at: (ms: number) => GivingUp;
  readonly user: AbortController;
} {
  let now = 0;
  const user = new AbortController();
  const g = new GivingUp({ now: () => now }, user.signal);
  return {
    g,
    user,
    at: (ms) => {
      now = ms;
      return g;
    },
  };
}

const refused = new Error("connect ECONNREFUSED");

test("refused credentials: 10 s of nothing but 401 end the run, and 10 s more at its end give up", (t) => {
  const { g, at } = givingUp();
  at(0).answered(401);
  at(9_999).answered(401);
  t.false(g.credentialsRefused.aborted);
  at(10_000).answered(401);
  t.true(g.credentialsRefused.aborted);
  t.false(g.any.aborted, "the end of the run tries them again");
  g.end();
  at(19_999).answered(401);
  t.false(g.any.aborted);
  at(20_000).answered(401);
  t.true(g.apiLost.aborted);
  t.regex(g.why ?? "", /refuses the credentials \(HTTP 401\), also after they were read again/);
});

test("refused credentials that work again at the end: nothing is given up", (t) => {
  const { g, at } = givingUp();
  at(0).answered(401);
  at(15_000).answered(401);
  g.end();
  at(20_000).answered(401);
  at(24_000).answered(200);
  at(26_000).answered(401);
  t.false(g.any.aborted);
});

test("another answer in between: the credentials work", (t) => {
  const { g, at } = givingUp();
  at(0).answered(401);
  at(9_000).answered(404);
  at(12_000).answered(401);
  t.false(g.credentialsRefused.aborted);
});

test("no answer: nothing is given up before the run ends, then after the limit in sum", (t) => {
  const { g, at } = givingUp();
  at(0).notAnswered(refused);
  at(10 * 60_000).notAnswered(refused);
  t.false(g.any.aborted, "the attack may be why");
  g.end();
  at(10 * 60_000 + API_AWAY_LIMIT_MS - 1).notAnswered(refused);
  t.false(g.any.aborted);
  at(10 * 60_000 + API_AWAY_LIMIT_MS).notAnswered(refused);
  t.regex(g.why ?? "", /has not answered for 150 s \(connect ECONNREFUSED\)/);
});

test("an API server that is away for two minutes is not given up", (t) => {
  const { g, at } = givingUp();
  g.end();
  at(1_000).notAnswered(refused);
  at(121_000).notAnswered(refused);
  at(121_500).answered(200);
  at(150_000).notAnswered(refused);
  at(299_000).notAnswered(refused);
  t.false(g.any.aborted);
});

test("while the control plane is the target, 401 counts as no answer", (t) => {
  const { g, at } = givingUp();
  g.expectOutage();
  at(0).answered(401);
  at(60_000).answered(401);
  t.false(g.any.aborted);
  g.end(7 * 60_000);
  at(60_000 + 7 * 60_000 - 1).answered(401);
  t.false(g.any.aborted);
  at(60_000 + 7 * 60_000).answered(401);
  t.true(g.apiLost.aborted);
});

test("the user ends it: the API server is not lost", (t) => {
  const { g, user } = givingUp();
  t.is(g.why, undefined);
  user.abort("a later Ctrl-C ended the restore");
  t.is(g.why, "a later Ctrl-C ended the restore");
  t.true(g.byUser.aborted);
  t.false(g.apiLost.aborted);
});
