/** Whether a parsed value (JSON or YAML) has keys: an object, not an array and not null. Pure. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
