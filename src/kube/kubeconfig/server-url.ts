/** The address in a kubeconfig → a URL, as DefaultServerURL of client-go's rest/url_utils.go reads it. */
import { isIPv6 } from "node:net";

/**
 * Without a scheme it is plain HTTP, as in kubectl: whether TLS is wanted is asked before the CA is known (ClientConfig of
 * client_config.go). A path is kept as a prefix; a query and a fragment are dropped.
 *
 * @returns the URL without a slash at its end, or what is wrong. Pure.
 */
export function serverUrl(server: string): { readonly url: string } | { readonly problem: string } {
  const hasScheme = /^[a-z][a-z0-9+.-]*:\/\/./i.test(server);
  const text = hasScheme ? server : `http://${server}`;
  const parts = /^(https?):\/\/(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(\d*))?(\/[^?#]*)?(?:[?#].*)?$/i.exec(text);
  // Nothing of the text: it may have a password.
  if (parts === null) return { problem: "it is not a URL like https://HOST:PORT" };
  const [, scheme = "", host = "", port = "", path = ""] = parts;
  if (!hasScheme && path !== "" && path !== "/")
    return { problem: "it has a path but no scheme: write https:// before it" };
  if (!URL.canParse(text)) return { problem: "it is not a URL like https://HOST:PORT" };
  const url = new URL(text);
  // Browsers read "0x7f.1" as an IP address; Go asks a name server.
  if (!isIPv6(host.slice(1, -1)) && url.hostname !== host.toLowerCase())
    return { problem: "its host is neither a name nor an IP address" };
  const prefix = path.replace(/\/+$/, "");
  return { url: `${scheme.toLowerCase()}://${host}${port === "" ? "" : `:${port}`}${prefix}` };
}

/** Whether plain HTTP stays on this machine (`kubectl proxy`): only there are credentials sent without TLS. */
export function isLoopback(url: string): boolean {
  return /^https?:\/\/(127\.|localhost(:|$|\/)|\[::1\])/i.test(url);
}
