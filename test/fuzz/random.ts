import { mulberry32 } from "../helpers/random.js";

/** Seeded random choices. */
export interface Random {
  /** A whole number from 0 to `end` - 1; `end` is at least 1. */
  below(end: number): number;
  /** True with this probability, 0 to 1. */
  chance(share: number): boolean;
  pick<T>(from: readonly T[]): T;
}

/** The choices for one input of a seed: each input can be created without the ones before it. */
export function randomOf(seed: number, input: number): Random {
  // 32 bits of state are enough, because each input has its own.
  const next = mulberry32((Math.imul(seed, 0x9e3779b1) ^ Math.imul(input + 1, 0x85ebca6b)) >>> 0);
  const below = (end: number): number => Math.floor(next() * Math.max(1, end));
  return {
    below,
    chance: (share) => next() < share,
    pick: (from) => {
      if (from.length === 0) throw new Error("nothing to pick from");
      return from[below(from.length)] as (typeof from)[number];
    },
  };
}
