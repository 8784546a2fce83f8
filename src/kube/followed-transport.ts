/** Tells how the API server answers, without a request of its own. */
import { jsonOf } from "./transport.js";
import { type ApiRequest, type ApiResponse, ApiUnreachableError, type Transport } from "./transport-types.js";

export interface AnswerFollower {
  /** The API server has answered with this HTTP status. */
  answered(status: number): void;
  /** It has not answered within the request's time. */
  notAnswered(error: unknown): void;
}

/** The pod behind a proxy path answers itself: that says nothing about the API server's own answers. */
const PROXIED = /\/proxy(\/|$)/;

/** A transport whose answers the follower is told. Requests that the caller aborts are not. */
export function followedTransport(transport: Transport, follower: AnswerFollower): Transport {
  const told = async <T extends { readonly status: number }>(
    { path }: Pick<ApiRequest, "path">,
    work: Promise<T>,
  ): Promise<T> => {
    try {
      const answer = await work;
      if (!PROXIED.test(path) || answer.status === 401) follower.answered(answer.status);
      return answer;
    } catch (error) {
      if (error instanceof ApiUnreachableError && !error.aborted && !PROXIED.test(path))
        follower.notAnswered(error);
      throw error;
    }
  };
  const request = async (asked: ApiRequest): Promise<ApiResponse> =>
    await told(asked, transport.request(asked));
  return {
    request,
    json: async <T>(asked: ApiRequest) => jsonOf<T>(asked, await request(asked)),
    stream: async (asked) => await told(asked, transport.stream(asked)),
    webSocket: async (asked, protocol) => await transport.webSocket(asked, protocol),
    warm: async (sockets) => await transport.warm(sockets),
    requestCounts: transport.requestCounts,
    close: () => transport.close(),
  };
}
