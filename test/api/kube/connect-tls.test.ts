/** Connections over real TLS, through real proxies, and what the user reads when they fail. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createTcp } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import type { ExecutionContext } from "ava";
import { messageOf, UsageError } from "../../../src/common/errors.js";
import { get } from "../../../src/kube/api.js";
import { connect, type Connection } from "../../../src/kube/connect.js";
import { explainConnection } from "../../../src/kube/explain-connection.js";
import { podProxy } from "../../../src/kube/pod-proxy.js";
import {
  CA,
  CLIENT2_CERT,
  CLIENT2_KEY,
  CLIENT_CERT,
  CLIENT_KEY,
  OTHER_CA,
} from "../../helpers/tls-fixtures.js";
import { connectProxy, socksProxy, tlsServer } from "../../helpers/tls-server.js";

const base64 = (text: string): string => Buffer.from(text).toString("base64");
const WITH_CA = { "certificate-authority-data": base64(CA) };

interface Parts {
  readonly server: string;
  readonly cluster?: object;
  readonly user?: object;
  readonly context?: object;
  readonly env?: Readonly<Record<string, string>>;
}

async function open(t: ExecutionContext, parts: Parts): Promise<Connection> {
  const { server, cluster = WITH_CA, user = {}, context = { user: "u" }, env = {} } = parts;
  const folder = mkdtempSync(join(tmpdir(), "connect-tls-test-"));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const kubeconfigPath = join(folder, "config");
  const config = {
    "current-context": "one",
    clusters: [{ name: "c", cluster: { server, ...cluster } }],
    users: [{ name: "u", user }],
    contexts: [{ name: "one", context: { cluster: "c", ...context } }],
  };
  writeFileSync(kubeconfigPath, JSON.stringify(config));
  const connection = await connect({ kubeconfigPath, userAgent: "t", env });
  t.teardown(() => connection.transport.close());
  return connection;
}

/** What the user reads when the first request fails. */
async function explained(t: ExecutionContext, parts: Parts, timeoutMs = 10_000): Promise<string> {
  const connection = await open(t, parts);
  const error = await t.throwsAsync(get(connection.transport, "/version", { timeoutMs, retry: false }));
  const text = explainConnection(error, connection);
  // eslint-disable-next-line no-control-regex
  t.notRegex(text, /[\u0000-\u001f\u007f-\u009f]/);
  return text;
}

const version = async ({ transport }: Connection): Promise<unknown> => await get(transport, "/version");
const GOOD = { gitVersion: "v1.36.3" };

test("TLS settings of the cluster hold without a user, and with an unknown one", async (t) => {
  const { port, requests } = await tlsServer(t);
  const server = `https://127.0.0.1:${port}`;
  for (const context of [{}, { user: "gone" }]) {
    t.deepEqual(await version(await open(t, { server, context })), GOOD);
    const insecure = { "insecure-skip-tls-verify": true };
    t.deepEqual(await version(await open(t, { server, context, cluster: insecure })), GOOD);
    const named = { ...WITH_CA, "tls-server-name": "kubernetes" };
    t.deepEqual(await version(await open(t, { server, context, cluster: named })), GOOD);
    const wrong = { ...WITH_CA, "tls-server-name": "elsewhere" };
    t.regex(
      await explained(t, { server, context, cluster: wrong }),
      /certificate for other names: (DNS|IP Address):[^ ]+.*, not elsewhere \(ERR_TLS_CERT_ALTNAME_INVALID\)\. Set tls-server-name/,
    );
    t.regex(await explained(t, { server, context, cluster: {} }), /CA mismatch/);
  }
  t.true(requests.every(({ headers }) => headers.authorization === undefined));
});

test("client certificates from data, files and a plugin; a new certificate gets a new connection", async (t) => {
  const { port, requests } = await tlsServer(t);
  const server = `https://127.0.0.1:${port}`;
  const data = { "client-certificate-data": base64(CLIENT_CERT), "client-key-data": base64(CLIENT_KEY) };
  await version(await open(t, { server, user: data }));
  const folder = mkdtempSync(join(tmpdir(), "connect-tls-test-"));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const files = { "client-certificate": join(folder, "c"), "client-key": join(folder, "k") };
  writeFileSync(join(folder, "c"), CLIENT2_CERT);
  writeFileSync(join(folder, "k"), CLIENT2_KEY);
  await version(await open(t, { server, user: files }));
  const answer = {
    kind: "ExecCredential",
    apiVersion: "client.authentication.k8s.io/v1beta1",
    status: { clientCertificateData: CLIENT_CERT, clientKeyData: CLIENT_KEY },
  };
  const second = { ...answer, status: { clientCertificateData: CLIENT2_CERT, clientKeyData: CLIENT2_KEY } };
  const soon = new Date(Date.now() - 1000).toISOString();
  const first = { ...answer, status: { ...answer.status, expirationTimestamp: soon } };
  const code = `const fs = require("fs"), f = ${JSON.stringify(join(folder, "n"))};
    const again = fs.existsSync(f); fs.writeFileSync(f, "");
    console.log(again ? ${JSON.stringify(JSON.stringify(second))} : ${JSON.stringify(JSON.stringify(first))});`;
  const exec = { apiVersion: answer.apiVersion, command: process.execPath, args: ["-e", code] };
  const rotating = await open(t, { server, user: { exec } });
  await version(rotating);
  await version(rotating);
  t.deepEqual(
    requests.map(({ client }) => client),
    ["client", "client2", "client2", "client2"],
  );
  const bad = { ...data, "client-key-data": base64(CLIENT2_KEY) };
  t.regex(
    messageOf(await t.throwsAsync(open(t, { server, user: bad }), { instanceOf: UsageError })),
    /user "u": its client certificate or key is invalid/,
  );
  const noCa = { "certificate-authority-data": base64("hello") };
  t.regex(
    messageOf(await t.throwsAsync(open(t, { server, cluster: noCa }), { instanceOf: UsageError })),
    /cluster "c": its certificate authority is not a PEM certificate/,
  );
});

test("impersonation: user, uid, every group and all extras are sent", async (t) => {
  const { port, requests } = await tlsServer(t);
  const user = {
    token: "t",
    as: "ops",
    "as-uid": "7",
    "as-groups": ["a", "b"],
    "as-user-extra": { reason: ["x", "y"], "example.com/läufe": ["落"] },
  };
  await version(await open(t, { server: `https://127.0.0.1:${port}`, user }));
  const raw = requests[0]?.raw ?? [];
  const sent = raw.flatMap((name, index) =>
    index % 2 === 0 && /^(impersonate|authorization)/i.test(name) ? [`${name}: ${raw[index + 1]}`] : [],
  );
  t.deepEqual(sent.sort(), [
    "Authorization: Bearer t",
    "Impersonate-Extra-example.com%2Fl%C3%A4ufe: \u00e8\u0090\u00bd",
    "Impersonate-Extra-reason: x",
    "Impersonate-Extra-reason: y",
    "Impersonate-Group: a",
    "Impersonate-Group: b",
    "Impersonate-Uid: 7",
    "Impersonate-User: ops",
  ]);
});

test("proxy-url: http and socks5 get the name, not its address; watches and pod proxies go through, too", async (t) => {
  const { port, requests } = await tlsServer(t);
  const http = await connectProxy(t);
  const socks = await socksProxy(t);
  const cases = [
    [http, `http://us%40er:pw@127.0.0.1:${http.port}`],
    [socks, `socks5://127.0.0.1:${socks.port}`],
  ] as const;
  for (const [proxy, url] of cases) {
    const cluster = { ...WITH_CA, "proxy-url": url };
    // The name does not exist: only a proxy can resolve it.
    const connection = await open(t, { server: `https://api.test:${port}`, cluster });
    t.deepEqual(await version(connection), GOOD);
    const { transport } = connection;
    const { status, stream } = await transport.stream({
      method: "GET",
      path: "/api/v1/pods",
      query: { watch: true },
    });
    t.is(status, 200);
    stream.destroy();
    t.is((await podProxy(transport, { namespace: "n", pod: "p", port: 80, path: "/" })).status, 200);
    t.true(proxy.targets.length >= 2 && proxy.targets.every((target) => target === `api.test:${port}`));
  }
  t.is(requests.length, 6);
  t.is(http.authorizations[0], `Basic ${base64("us@er:pw")}`);
});

test("HTTPS_PROXY and NO_PROXY of the environment", async (t) => {
  const { port } = await tlsServer(t);
  const proxy = await connectProxy(t);
  const HTTPS_PROXY = `http://127.0.0.1:${proxy.port}`;
  const server = `https://api.test:${port}`;
  const connection = await open(t, { server, env: { HTTPS_PROXY } });
  t.is(connection.proxy, HTTPS_PROXY);
  t.deepEqual(await version(connection), GOOD);
  t.regex(
    await explained(t, { server, env: { HTTPS_PROXY, NO_PROXY: ".test" } }),
    /the name api\.test is not known/,
  );
  t.deepEqual(
    await version(await open(t, { server: `https://127.0.0.1:${port}`, env: { HTTPS_PROXY } })),
    GOOD,
  );
  t.is(proxy.targets.length, 1);
});

test("a proxy that refuses, or is not there, is named without its password", async (t) => {
  const proxy = await connectProxy(t, "407 Proxy Authentication Required");
  const server = "https://api.test:6443";
  const refusing = { ...WITH_CA, "proxy-url": `http://u:s3cr3t@127.0.0.1:${proxy.port}` };
  const said = await explained(t, { server, cluster: refusing });
  t.regex(
    said,
    /the proxy http:\/\/127\.0\.0\.1:\d+ refused to connect to api\.test:6443: HTTP 407 Proxy Auth/,
  );
  t.notRegex(said, /s3cr3t/);
  for (const scheme of ["http", "socks5"]) {
    const gone = { ...WITH_CA, "proxy-url": `${scheme}://127.0.0.1:1` };
    t.regex(
      await explained(t, { server, cluster: gone }),
      /the proxy .*:1 did not connect to api\.test:6443: nothing listens there \(ECONNREFUSED\)\. Check proxy-url in the kubeconfig, which names this proxy$/,
    );
    const unknown = { ...WITH_CA, "proxy-url": `${scheme}://no-such.invalid:1` };
    t.regex(
      await explained(t, { server, cluster: unknown }),
      /6443: the name no-such\.invalid is not known to the name server \((ENOTFOUND|EAI_AGAIN)\)\. Check/,
    );
  }
  t.regex(
    await explained(t, { server, env: { HTTPS_PROXY: "http://127.0.0.1:1" } }),
    /\(ECONNREFUSED\)\. Check HTTPS_PROXY, which names this proxy, or name the API server's host in NO_PROXY$/,
  );
});

/** A server that says one thing to each client. */
async function talker(t: ExecutionContext, says: string): Promise<number> {
  const server = createTcp((socket) => {
    socket.on("error", () => undefined);
    socket.once("data", () => socket.end(says));
  });
  t.teardown(() => server.close());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}

test("another program than a proxy, or than an API server, at the address", async (t) => {
  const server = "https://api.test:6443";
  const ssh = await talker(t, "SSH-2.0-OpenSSH_9.6\r\n");
  const silent = await talker(t, "");
  for (const [proxy, expected] of [
    [`http://127.0.0.1:${ssh}`, /6443: it speaks no HTTP \(HPE_\w+\)\. Check/],
    [`https://127.0.0.1:${ssh}`, /6443: it speaks no TLS \(\w+\)\. Write http/],
    [`http://127.0.0.1:${silent}`, /6443: it closes the connection \(ECONNRESET\)\. Check/],
    [`socks5://127.0.0.1:${ssh}`, /6443: it does not speak SOCKS5\. Check/],
    [`socks5://127.0.0.1:${silent}`, /6443: it closes the connection\. Check/],
  ] as const)
    t.regex(await explained(t, { server, cluster: { ...WITH_CA, "proxy-url": proxy } }), expected);
  t.regex(
    await explained(t, { server: `http://127.0.0.1:${ssh}`, cluster: {} }),
    /is not an API server: it speaks no HTTP \(HPE_\w+\)\. /,
  );
});

test("files of the kubeconfig that are no PEM, damaged or not there: plain words, each path once", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "connect-tls-test-"));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const write = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const [text, cert, key] = [write("text", "hello"), write("cert", CLIENT_CERT), write("key", CLIENT_KEY)];
  const otherKey = write("other", CLIENT2_KEY);
  const damaged = write("damaged", "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n");
  const gone = join(folder, "gone");
  const server = "https://127.0.0.1:1";
  const user = (certificate: string, clientKey: string): object => ({
    user: { "client-certificate": certificate, "client-key": clientKey },
  });
  const authority = (file: string): object => ({ cluster: { "certificate-authority": file } });
  for (const [parts, expected] of [
    [user(text, key), `its client certificate ${text} is not a PEM certificate`],
    [user(cert, text), `its client key ${text} is not a PEM key`],
    [
      user(cert, otherKey),
      "its client certificate or key is invalid (the key is not that of the certificate)",
    ],
    [user(damaged, key), "its client certificate or key is invalid (bad base64 decode)"],
    [user(gone, key), `client-certificate: cannot read ${gone}: there is no such file or folder`],
    [
      user(cert, join(text, "k")),
      `cannot read ${join(text, "k")}: a part of its path is a file, not a folder`,
    ],
    [authority(text), `its certificate authority ${text} is not a PEM certificate`],
    [authority(gone), `cannot read ${gone}: there is no such file or folder`],
    [authority(folder), `cannot read ${folder}: it is a folder`],
  ] as const) {
    const error = await t.throwsAsync(open(t, { server, ...parts }), { instanceOf: UsageError });
    const said = messageOf(error).replace(/\. Correct the path in the kubeconfig, or sign in again$/, "");
    t.true(said.endsWith(expected), messageOf(error));
  }
});

test("wrong CA, 401, 403, sign-in pages, redirects, errors with control characters", async (t) => {
  const { port } = await tlsServer(t);
  const other = { "certificate-authority-data": base64(OTHER_CA) };
  t.regex(
    await explained(t, { server: `https://127.0.0.1:${port}`, cluster: other }),
    /^the API server https:\/\/127\.0\.0\.1:\d+ of context one has a certificate .* has not signed: CA mismatch/,
  );
  const answers: [number, string, Record<string, string>, RegExp][] = [
    [401, "{}", {}, /refuses the credentials of the kubeconfig \(HTTP 401\)/],
    [
      403,
      JSON.stringify({ reason: "Forbidden", message: "no\u001b[31m" }),
      {},
      /forbids the request: .*no\\u\{1b\}/,
    ],
    [200, "<!DOCTYPE html><p>s3cr3t", {}, /is not an API server: .*HTTP 200 with an HTML page/],
    [502, "<html>bad gateway", {}, /is not an API server: HTTP 502 with an HTML page/],
    [
      302,
      "",
      { Location: "https://login.example/x?s3cr3t" },
      /not an API server: HTTP 302, a redirect to https:\/\/login\.example/,
    ],
    [200, "hello", {}, /is not an API server: .*5 bytes that are not JSON/],
    [404, "page not found", {}, /is not an API server: .*404/],
    [500, "x".repeat(5000), {}, /answers with an error: .{1,310}Try again/],
  ];
  for (const [status, body, headers, expected] of answers) {
    const api = await tlsServer(
      t,
      (_request, response) => void response.writeHead(status, headers).end(body),
    );
    const said = await explained(t, { server: `https://127.0.0.1:${api.port}`, user: { token: "t" } });
    t.regex(said, expected);
    t.notRegex(said, /s3cr3t/);
  }
});

test("plain HTTP to an HTTPS port and the other way round; refused; no answer", async (t) => {
  // As Go's server answers.
  const https = createServer((_request, response) =>
    response.writeHead(400).end("Client sent an HTTP request to an HTTPS server.\n"),
  );
  const silent = createTcp(() => undefined);
  for (const server of [https, silent]) {
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    t.teardown(() => server.close());
  }
  const portOf = (server: { address(): unknown }): number => (server.address() as AddressInfo).port;
  t.regex(
    await explained(t, { server: `127.0.0.1:${portOf(https)}`, cluster: {} }),
    /expects HTTPS.*Write https:\/\//,
  );
  t.regex(await explained(t, { server: `https://127.0.0.1:${portOf(https)}` }), /speaks no TLS/);
  t.regex(
    await explained(t, { server: "https://127.0.0.1:1" }),
    /nothing listens there \(ECONNREFUSED\)\. Start that cluster/,
  );
  t.regex(
    await explained(t, { server: `https://127.0.0.1:${portOf(silent)}` }, 100),
    /does not answer in time: no response within 100 ms/,
  );
});

test("credentials are not sent in clear text to another machine", async (t) => {
  const proxy = await connectProxy(t);
  const sent: (string | undefined)[] = [];
  const plain = createServer((request, response) => {
    sent.push(request.headers.authorization);
    response.end(JSON.stringify(GOOD));
  });
  await new Promise<void>((resolve) => plain.listen(0, "127.0.0.1", resolve));
  t.teardown(() => plain.close());
  const { port } = plain.address() as AddressInfo;
  const cluster = { "proxy-url": `http://127.0.0.1:${proxy.port}` };
  t.deepEqual(
    await version(await open(t, { server: `api.test:${port}`, cluster, user: { token: "t" } })),
    GOOD,
  );
  t.deepEqual(sent, [undefined]);
});
