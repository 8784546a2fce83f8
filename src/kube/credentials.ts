/** Credentials kept for a while: the client would start a plugin process for each request. */

/** How long headers are used before they are asked for again, ms: client-go re-reads token files as often. */
const KEEP_MS = 60_000;

/**
 * Younger than this, ms, they are not worth asking for again: a server that cannot check credentials at the
 * moment (its storage is away) answers 401 to all of them, and each answer would start a plugin.
 */
const FRESH_MS = 5_000;

export interface CredentialSource {
  /** Asks anew (may run a plugin, may read a file). */
  readonly fetch: () => Promise<Record<string, string>>;
  /** Drops what lies under `fetch`: the server has refused it. */
  readonly forget: () => void;
  /** Monotonic, ms. */
  readonly now?: () => number;
}

export interface Credentials {
  /** Rejects with what `fetch` rejected with; the next call asks again. */
  readonly headers: () => Promise<Record<string, string>>;
  /** The server has refused them: asked for anew by the next call, unless they are but 5 s old. */
  readonly forget: () => void;
  /** Takes headers that were fetched already. */
  readonly remember: (headers: Record<string, string>) => void;
}

/** One fetch for all who ask meanwhile, kept for 60 s, dropped by `forget`. */
export function cachedCredentials(source: CredentialSource): Credentials {
  const now = source.now ?? (() => performance.now());
  let kept: { readonly headers: Promise<Record<string, string>>; readonly since: number } | undefined;
  /** While the first fetch is under way a second 401 of the same moment must not start another. */
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
