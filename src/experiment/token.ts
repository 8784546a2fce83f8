/** In a request: replaced by the sample's token. In what is expected: a token that may be there. */
export const TOKEN = "{token}";

/** Whether a text in the value has a token. */
export function hasToken(value: unknown): boolean {
  return JSON.stringify(value ?? null).includes(TOKEN);
}

/** The parts of a request that are sent. */
interface Asked {
  readonly http?:
    { readonly path: string; readonly headers: object; readonly body?: string | undefined } | undefined;
  readonly tcp?: { readonly send?: string | undefined } | undefined;
}

/** Whether the request itself has a token. */
export function asksWithToken({ http, tcp }: Asked): boolean {
  return hasToken([http?.path, http?.headers, http?.body, tcp?.send]);
}
