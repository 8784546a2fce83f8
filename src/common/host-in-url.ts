/** A host name or an IP address as the host of a URL: IPv6 in brackets (RFC 3986, 3.2.2). Pure. */
export function hostInUrl(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}
