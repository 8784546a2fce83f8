/** A cache of credentials: without it, the client would start a plugin process for each request. */

/** How long headers are used before they are fetched again, ms. client-go re-reads token files at the same interval. */
const KEEP_MS = 60_000;

/**
 * Headers younger than this, ms, are not fetched again. A server that cannot check credentials for a moment (its
 * storage is down) answers 401 to all of them, and each answer would start a plugin.
 */
const FRESH_MS = 5_000;

export interface CredentialSource {
  /** Gets new headers (may run a plugin or read a file). */
  readonly fetch: () => Promise<Record<string, string>>;
  /** Drops the caches behind `fetch`: the server has refused the credentials. */
  readonly forget: () => void;
  /** Monotonic, ms. */
  readonly now?: () => number;
}

export interface Credentials {
  /** Rejects with the error of `fetch`; the next call fetches again. */
  readonly headers: () => Promise<Record<string, string>>;
  /** The server has refused the headers: the next call fetches again, unless they are less than 5 s old. */
  readonly forget: () => void;
  /** Caches headers that were fetched elsewhere. */
  readonly remember: (headers: Record<string, string>) => void;
}

/** One fetch for all concurrent callers, cached for 60 s, dropped by `forget`. */
export function cachedCredentials(source: CredentialSource): Credentials {
  const now = source.now ?? (() => performance.now());
  let kept: { readonly headers: Promise<Record<string, string>>; readonly since: number } | undefined;
  /** A fetch is in progress: a second 401 at the same time must not start another. */
  let fetching = false;
  const keep = (headers: Promise<Record<string, string>>): Promise<Record<string, string>> => {
    kept = { headers, since: now() };
    return headers;
  };
  const fetchOnce = async (): Promise<Record<string, string>> => {
    fetching = true;
    try {
      return await source.fetch();
    } catch (error) {
      kept = undefined;
      throw error;
    } finally {
      fetching = false;
    }
  };
  return {
    headers: () => {
      if (kept !== undefined && (fetching || now() - kept.since < KEEP_MS)) return kept.headers;
      return keep(fetchOnce());
    },
    forget: () => {
      if (fetching || (kept !== undefined && now() - kept.since < FRESH_MS)) return;
      kept = undefined;
      source.forget();
    },
    remember: (headers) => void keep(Promise.resolve(headers)),
  };
}
