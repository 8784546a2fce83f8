/**
 * The part of zod that the experiment's schema uses, for the bundle of `chaos validate` (scripts/quick-validate.mjs). It
 * accepts what zod accepts, with the same result, and starts in a tenth of the time. It has no messages: a refused value
 * is checked again with zod. It may refuse too much, never too little; a test compares the two.
 */

/** The result of a check that refuses its value. */
const REFUSED = Symbol("refused");

type Read = (value: unknown) => unknown;
type Shape = Readonly<Record<string, Schema>>;

interface Context {
  addIssue(issue: unknown): void;
}

class Schema {
  constructor(
    readonly read: Read,
    /** Only for an object. */
    readonly shape: Shape = {},
  ) {}

  #and(good: (value: never) => boolean): Schema {
    return this.#then((value) => (good(value as never) ? value : REFUSED));
  }
  #then(next: Read): Schema {
    return new Schema((value) => {
      const read = this.read(value);
      return read === REFUSED ? REFUSED : next(read);
    }, this.shape);
  }
  #or(instead: Read): Schema {
    return new Schema((value) => (value === undefined ? instead(value) : this.read(value)), this.shape);
  }

  min(least: number): Schema {
    return this.#and((value) => sizeOf(value) >= least);
  }
  max(most: number): Schema {
    return this.#and((value) => sizeOf(value) <= most);
  }
  regex(pattern: RegExp): Schema {
    return this.#and((text) => pattern.test(text));
  }
  optional(): Schema {
    return this.#or(() => undefined);
  }
  default(value: unknown): Schema {
    return this.#or(() => value);
  }
  prefault(value: unknown): Schema {
    return this.#or(() => this.read(value));
  }
  describe(): this {
    return this;
  }
  transform(to: (value: never, context: Context) => unknown): Schema {
    return this.#then((value) => {
      let refused = false;
      const result = to(value as never, { addIssue: () => (refused = true) });
      return refused ? REFUSED : result;
    });
  }
  superRefine(check: (value: never, context: Context) => void): Schema {
    return this.transform((value, context) => {
      check(value, context);
      return value;
    });
  }
  /** Of a value that is known to be good: a default. */
  parse(value: unknown): unknown {
    return this.read(value);
  }
  safeParse(
    value: unknown,
  ): { success: true; data: unknown } | { success: false; error: { issues: readonly [] } } {
    const data = this.read(value);
    return data === REFUSED ? { success: false, error: { issues: [] } } : { success: true, data };
  }
}

function sizeOf(value: number | string | readonly unknown[]): number {
  return typeof value === "number" ? value : value.length;
}

function of(good: (value: unknown) => boolean): Schema {
  return new Schema((value) => (good(value) ? value : REFUSED));
}

export const NEVER = undefined;
export const string = (): Schema => of((value) => typeof value === "string");
export const number = (): Schema => of(Number.isFinite);
export const int = (): Schema => of(Number.isSafeInteger);
export const boolean = (): Schema => of((value) => typeof value === "boolean");
const nothing = (): Schema => of((value) => value === null);
export { nothing as null };
export const literal = (only: unknown): Schema => of((value) => value === only);
const oneOf = (values: readonly unknown[]): Schema => of((value) => values.includes(value));
export { oneOf as enum };

export function array(member: Schema): Schema {
  return new Schema((value) => {
    if (!Array.isArray(value)) return REFUSED;
    const read = value.map(member.read);
    return read.includes(REFUSED) ? REFUSED : read;
  });
}

/** Of texts, whose keys may be any. */
export function record(_key: Schema, member: Schema): Schema {
  return new Schema((value) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return REFUSED;
    const entries = Object.entries(value).map(([key, each]) => [key, member.read(each)] as const);
    return entries.some(([, read]) => read === REFUSED) ? REFUSED : Object.fromEntries(entries);
  });
}

export function strictObject(shape: Shape): Schema {
  return new Schema((value) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return REFUSED;
    if (Object.keys(value).some((key) => !Object.hasOwn(shape, key))) return REFUSED;
    const result: Record<string, unknown> = {};
    for (const [key, member] of Object.entries(shape)) {
      const written = Object.hasOwn(value, key);
      const read = member.read(written ? (value as Record<string, unknown>)[key] : undefined);
      if (read === REFUSED) return REFUSED;
      if (written || read !== undefined) result[key] = read;
    }
    return result;
  }, shape);
}

export function union(options: readonly Schema[]): Schema {
  return new Schema((value) => {
    for (const option of options) {
      const read = option.read(value);
      if (read !== REFUSED) return read;
    }
    return REFUSED;
  });
}

/** The variants differ in a literal, so at most one of them accepts. */
export const discriminatedUnion = (_key: string, options: readonly Schema[]): Schema => union(options);
