/**
 * An equivalent of the sample's front end (GoogleCloudPlatform/kubernetes-engine-samples, quickstarts/guestbook/php-redis),
 * for nodes that its image has no build for. It answers as the sample's script does: one key for everyone, the value
 * between quotes as it is, status 200 also with an error.
 */
import http from "node:http";
import { ask } from "./redis.js";

const KEY = "guestbook";
const REDIS_PORT = 6379;

export interface FrontEndOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly redisPort?: number;
}

interface Page {
  readonly type: "application/json" | "text/html";
  readonly body: string;
}

const INDEX = `<!doctype html>
<html lang="en">
  <head><meta charset="utf-8"><title>Guestbook</title></head>
  <body>
    <h1>Guestbook</h1>
    <form id="entry"><input id="text" placeholder="Messages"> <button>Submit</button></form>
    <ul id="entries"></ul>
    <script>
      const show = (data) => document.getElementById("entries").replaceChildren(...data.split(",").filter(Boolean).map(
        (text) => Object.assign(document.createElement("li"), { textContent: text })));
      const read = async () => (await (await fetch("guestbook.php?cmd=get")).json()).data;
      document.getElementById("entry").addEventListener("submit", async (event) => {
        event.preventDefault();
        const all = await read() + "," + document.getElementById("text").value.replaceAll(",", " ");
        await fetch("guestbook.php?cmd=set&value=" + encodeURIComponent(all));
        show(all);
      });
      read().then(show);
    </script>
  </body>
</html>
`;

export function createFrontEnd(options: FrontEndOptions): http.Server {
  return http.createServer((request, response) => {
    void answer(new URL(request.url ?? "/", "http://front-end"), options).then((page) => {
      if (page === undefined) response.writeHead(404, { "content-type": "text/html" }).end("Not Found\n");
      else response.writeHead(200, { "content-type": page.type }).end(page.body);
    });
  });
}

/** undefined: there is no such page. Never rejects. */
async function answer({ pathname, searchParams }: URL, options: FrontEndOptions): Promise<Page | undefined> {
  if (pathname === "/" || pathname === "/index.html") return { type: "text/html", body: INDEX };
  if (pathname !== "/guestbook.php") return undefined;
  const command = searchParams.get("cmd");
  // The sample prints phpinfo() here.
  if (command === null) return { type: "text/html", body: `Node.js ${process.version}\n` };
  const type = "application/json";
  try {
    return { type, body: await run(command, searchParams.get("value") ?? "", options) };
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    // As PHP prints an exception that no one catches.
    return { type, body: `<br />\n<b>Fatal error</b>:  Uncaught ${text}<br />\n` };
  }
}

async function run(
  command: string,
  value: string,
  { env, redisPort = REDIS_PORT }: FrontEndOptions,
): Promise<string> {
  const host = (role: "leader" | "follower"): string =>
    env["GET_HOSTS_FROM"] === "env"
      ? (env[`REDIS_${role.toUpperCase()}_SERVICE_HOST`] ?? "")
      : `redis-${role}`;
  if (command === "set") {
    await ask(host("leader"), redisPort, ["SET", KEY, value]);
    return '{"message": "Updated"}';
  }
  return `{"data": "${(await ask(host("follower"), redisPort, ["GET", KEY])) ?? ""}"}`;
}
