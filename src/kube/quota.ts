/** Quantities as Kubernetes writes them. */
const SUFFIXES: Readonly<Record<string, number>> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  "": 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

/** "100m" → 0.1, "2Ki" → 2048; NaN: not a quantity. Pure. */
export function quantity(text: string): number {
  const [, digits = "", suffix = ""] = /^([\d.]+(?:[eE][+-]?\d+)?)([A-Za-z]*)$/.exec(text) ?? [];
  return digits === "" ? Number.NaN : Number(digits) * (SUFFIXES[suffix] ?? Number.NaN);
}

/** "pods=2,requests.cpu=100m" → the quantities by name. */
function quantities(text = ""): ReadonlyMap<string, number> {
  return new Map(
    text.split(",").map((each) => {
      const [name = "", value = ""] = each.split("=");
      return [name, quantity(value)];
    }),
  );
}

/**
 * Whether the refusal to create an object that still exists would also come once it is gone. A full quota counts the
 * object itself; one that is already exceeded refuses its return. Any other refusal comes again. Pure.
 *
 * @param message of the API server; the form is that of apiserver's plugin/resourcequota (controller.go of Kubernetes).
 */
export function exceedsQuota(message: string): boolean {
  const found = /exceeded quota: \S+, requested: \S+, used: (\S+), limited: (\S+)$/.exec(message);
  if (found === null) return true;
  const limited = quantities(found[2]);
  // Also for a figure that cannot be read.
  return [...quantities(found[1])].some(([name, used]) => !(used <= (limited.get(name) ?? Number.NaN)));
}
