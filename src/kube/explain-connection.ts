/** Why an API server cannot be used, in words for the user. Pure. */
import type { PeerCertificate } from "node:tls";
import { messageOf } from "../common/errors.js";
import { cutText, escapeInvisible } from "../strict-yaml/quote.js";
import type { Connection } from "./connect.js";
import { networkWords, speaksNoHttp, speaksNoTls } from "./network-words.js";
import { ProxyError } from "./proxy-agent.js";
import { ApiError, ApiUnreachableError, ForeignAnswerError } from "./transport.js";

/** What failed and why, and what to do: two parts, without a full stop at their ends. */
interface Explanation {
  readonly what: string;
  readonly help: string;
}

const OTHER = "choose another cluster with --context, or create one with --cluster kind or --cluster lab";
const LOGIN = "Sign in again, or choose another context with --context";

/** OpenSSL's words for a chain that does not end at a trusted authority (X509_V_ERR_*). */
const UNTRUSTED = new Set([
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "CERT_SIGNATURE_FAILURE",
  "CERT_UNTRUSTED",
  "INVALID_CA",
]);

/**
 * The reason of a failed first request.
 *
 * @returns `WHAT: WHY. WHAT TO DO`, without control characters from the other side.
 */
export function explainConnection(error: unknown, connection: Way): string {
  const { server, context } = connection;
  const { what, help } = explain(error, connection);
  return `the API server ${server} of context ${escapeInvisible(context)} ${what}. ${help}`;
}

type Way = Pick<Connection, "server" | "context" | "proxy" | "proxySetting">;

/** Why a restore cannot look for runs on a cluster, and what to do; as {@link explainConnection}. */
export function explainSearch(error: unknown, connection: Way): string {
  const { server, context } = connection;
  const { what, help } = explain(error, connection);
  // A restore creates no cluster.
  const ownHelp = help.replace(
    /(,) (or )?choose another cluster with --context, or create .*$/,
    "$1 or name another cluster with --context",
  );
  return `cannot look for runs on context ${escapeInvisible(context)}: the API server ${server} ${what}. ${ownHelp}`;
}

function explain(error: unknown, { server, proxy, proxySetting = "its setting" }: Way): Explanation {
  if (error instanceof ApiError) return explainAnswer(error);
  const chain = causesOf(error);
  const proxyError = chain.find((each) => each instanceof ProxyError);
  if (proxyError !== undefined) {
    return {
      what: `cannot be reached: ${clean(messageOf(proxyError))}`,
      help: /_proxy$/i.test(proxySetting)
        ? `Check ${proxySetting}, which names this proxy, or name the API server's host in NO_PROXY`
        : `Check ${proxySetting}, which names this proxy`,
    };
  }
  if (chain.some((each) => each instanceof ForeignAnswerError))
    return notAnApiServer(clean(messageOf(chain.at(-1))));
  const code =
    chain.map((each) => (each as NodeJS.ErrnoException).code).find((each) => each !== undefined) ?? "";
  const { hostname } = new URL(server);
  if (speaksNoHttp(code)) return notAnApiServer(`it speaks no HTTP (${code})`);
  const known = explainTls(code, chain, hostname) ?? explainNetwork(code, hostname);
  if (known !== undefined) return known;
  const through = proxy === undefined ? "" : ` (through the proxy ${proxy})`;
  if (error instanceof ApiUnreachableError && error.timedOut) {
    return {
      what: `does not answer in time${through}: ${clean(messageOf(error.cause))}`,
      help: `Is a VPN or a tunnel missing, or is the cluster stopped? Start it, ${OTHER}`,
    };
  }
  return {
    what: `does not answer${through}: ${clean(messageOf(error))}`,
    help: `Start that cluster, ${OTHER}`,
  };
}

function explainAnswer({ status, message, location }: ApiError): Explanation {
  const said = clean(message);
  if (status === 401)
    return {
      what: `refuses the credentials of the kubeconfig (HTTP 401)`,
      help: `They may have expired. ${LOGIN}`,
    };
  if (/Client sent an HTTP request to an HTTPS server/.test(message)) {
    return {
      what: "expects HTTPS, but the kubeconfig's server has http:// or no scheme (HTTP 400)",
      help: "Write https:// before its host",
    };
  }
  if (/<(!doctype|html)/i.test(message)) return notAnApiServer(`HTTP ${status} with an HTML page`);
  if (location !== undefined) return notAnApiServer(`HTTP ${status}, a redirect to ${clean(location)}`);
  if (status === 403)
    return {
      what: `knows the user but forbids the request: ${said}`,
      help: `Ask for the right, or ${OTHER}`,
    };
  if (status === 404) return notAnApiServer(said);
  return { what: `answers with an error: ${said}`, help: `Try again, or ${OTHER}` };
}

function notAnApiServer(why: string): Explanation {
  return {
    what: `is not an API server: ${why}`,
    help:
      "A sign-in page, a proxy or another program answers at this address. Check the server in the kubeconfig, " +
      "and sign in to the network if it asks for it",
  };
}

function explainTls(code: string, chain: readonly Error[], hostname: string): Explanation | undefined {
  if (UNTRUSTED.has(code)) {
    return {
      what: `has a certificate that the kubeconfig's certificate authority (without one: a public one) has not signed: CA mismatch (${code})`,
      help: "Was the cluster created again? Get its kubeconfig again. Or something between here and there opens TLS connections",
    };
  }
  if (code === "CERT_HAS_EXPIRED" || code === "CERT_NOT_YET_VALID") {
    return {
      what: `has a certificate that is ${code === "CERT_HAS_EXPIRED" ? "expired" : "not valid yet"} (${code})`,
      help: "Renew the certificate, and compare this machine's clock",
    };
  }
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") {
    return {
      what: `has a certificate for other names: ${clean(certificateNames(chain, hostname))} (${code})`,
      help: "Set tls-server-name in the kubeconfig to one of them, or use that name in server",
    };
  }
  const text = chain.map(({ message }) => message).join(" ");
  if (speaksNoTls(`${code} ${text}`)) {
    return {
      what: `speaks no TLS (${code}): it may expect plain HTTP`,
      help: "Check the scheme and the port of server in the kubeconfig",
    };
  }
  const alert = /alert (?:number )?([a-z ]+)|ERR_SSL_(?:TLSV1[0-9_]*|SSLV3)_ALERT_([A-Z_]+)/i.exec(
    `${text} ${code}`,
  );
  if (alert !== null) {
    const words = (alert[2] ?? alert[1] ?? "").toLowerCase().replaceAll("_", " ").trim();
    return {
      what: `refuses the TLS connection (${words}): it may not accept the client certificate`,
      help: LOGIN,
    };
  }
  return undefined;
}

/** The names in the certificate of the error, and the wanted one: tls-server-name, or the server's host. */
function certificateNames(chain: readonly Error[], hostname: string): string {
  const { cert, host = hostname } = (chain.find((each) => "cert" in each) ?? {}) as {
    cert?: Partial<PeerCertificate>;
    host?: string;
  };
  return `${cert?.subjectaltname ?? "none"}, not ${host}`;
}

function explainNetwork(code: string, hostname: string): Explanation | undefined {
  const why = networkWords(code, hostname);
  if (why === undefined) return undefined;
  const start = `Start that cluster, ${OTHER}`;
  switch (code) {
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return {
        what: `cannot be found: ${why}`,
        help: `Check the name and the network (a VPN?), or ${OTHER}`,
      };
    case "EHOSTUNREACH":
    case "ENETUNREACH":
    case "ETIMEDOUT":
      return { what: `does not answer: ${why}`, help: `Is a VPN or a tunnel missing? ${start}` };
    case "ECONNRESET":
    case "EPIPE":
      return { what: `does not answer: ${why}`, help: `Is it still starting? ${start}` };
    default:
      return { what: `does not answer: ${why}`, help: start };
  }
}

/** The error and its causes; of several (happy eyeballs), the first. */
function causesOf(error: unknown): Error[] {
  const chain: Error[] = [];
  for (let at: unknown = error; at instanceof Error && chain.length < 10;) {
    chain.push(at);
    at = at.cause ?? (at instanceof AggregateError ? at.errors[0] : undefined);
  }
  return chain;
}

/** Foreign text on one line, without terminal control characters, cut. */
function clean(text: string): string {
  return cutText(escapeInvisible(text.replace(/\s+/g, " ").trim()), 300);
}
