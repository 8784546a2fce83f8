/** A cache of credentials: without it, the client would start a plugin process for each request. */

/** How long headers are used before they are fetched again, ms. client-go re-reads token files at the same interval. */
const KEEP_MS = 60_000;

/**
 * Headers younger than this, ms, are not fetched again. A server that cannot check credentials for a moment (its
 * storage is down) answers 401 to all of them, and each answer would start a plugin.
 */
const FRESH_MS = 5_000;

export interface CredentialSource<T> {
  /** Gets new headers (may run a plugin or read a file). */
  readonly fetch: () => Promise<T>;
  /** When they expire, wall clock, ms. Default: never. */
  readonly expiresAtMs?: (headers: T) => number | undefined;
  /** Drops the caches behind `fetch`: the server has refused the credentials. */
  readonly forget: () => void;
  /** Monotonic, ms. */
  readonly now?: () => number;
}

export interface Credentials<T> {
  /** Rejects with the error of `fetch`; the next call fetches again. */
  readonly headers: () => Promise<T>;
  /** The server has refused the headers: the next call fetches again, unless they are less than 5 s old. */
  readonly forget: () => void;
  /** Caches headers that were fetched elsewhere. */
  readonly remember: (headers: T) => void;
}

/** One fetch for all concurrent callers, cached for 60 s, dropped by `forget`. */
export function cachedCredentials<T>(source: CredentialSource<T>): Credentials<T> {
  const now = source.now ?? (() => performance.now());
  let kept: { readonly headers: Promise<T>; readonly since: number; untilMs: number } | undefined;
  /** A fetch is in progress: a second 401 at the same time must not start another. */
  let fetching = false;
  const keep = (headers: Promise<T>): Promise<T> => {
    const keeping = { headers, since: now(), untilMs: Number.POSITIVE_INFINITY };
    kept = keeping;
    // A rejection is the caller's.
    headers.then(
      (value) => (keeping.untilMs = source.expiresAtMs?.(value) ?? keeping.untilMs),
      () => undefined,
    );
    return headers;
  };
  const isGood = ({ since, untilMs }: NonNullable<typeof kept>): boolean =>
    now() - since < KEEP_MS && Date.now() < untilMs;
  const fetchOnce = async (): Promise<T> => {
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
      if (kept !== undefined && (fetching || isGood(kept))) return kept.headers;
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
