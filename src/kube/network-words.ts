/** What errors of connections say, in words for the user. Pure. */

/**
 * Why a connection failed, as words that continue after the name of the other side; undefined: an error of another kind.
 *
 * @param hostname of the other side.
 */
export function networkWords(code: string, hostname: string): string | undefined {
  switch (code) {
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return `the name ${hostname} is not known to the name server (${code})`;
    case "ECONNREFUSED":
      return `nothing listens there (${code})`;
    case "EHOSTUNREACH":
    case "ENETUNREACH":
    case "ETIMEDOUT":
      return `there is no way to it (${code})`;
    case "ECONNRESET":
    case "EPIPE":
      return `it closes the connection (${code})`;
    default:
      return undefined;
  }
}

/** Whether Node's HTTP parser found something else than HTTP: an SSH server's greeting, for example. */
export function speaksNoHttp(code: string): boolean {
  return code.startsWith("HPE_") && code !== "HPE_HEADER_OVERFLOW";
}

/** Whether OpenSSL found something else than TLS. */
export function speaksNoTls(text: string): boolean {
  return /wrong.version.number|packet.length.too.long|record layer failure/i.test(text);
}
