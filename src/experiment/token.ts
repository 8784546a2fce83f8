/** In a request: replaced by the sample's token. In what is expected: a token that may be there. */
export const TOKEN = "{token}";
