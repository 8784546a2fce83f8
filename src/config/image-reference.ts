/** Image references, by the grammar that container runtimes use (distribution/reference, regexp.go and normalize.go). */

const DOMAIN_PART = "(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])";
const DOMAIN = `(?:${DOMAIN_PART}(?:\\.${DOMAIN_PART})*|\\[[a-fA-F0-9:]+\\])(?::[0-9]+)?`;
const PATH_PART = "[a-z0-9]+(?:(?:\\.|__?|-+)[a-z0-9]+)*";
const PATH = `${PATH_PART}(?:/${PATH_PART})*`;
const TAG = "\\w[\\w.-]{0,127}";
const DIGEST = "(?<algorithm>[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*):(?<hex>[0-9a-fA-F]{32,})";
const NAME = `(?<name>(?:${DOMAIN}/)?${PATH})`;
const REFERENCE = new RegExp(`^${NAME}(?::${TAG})?(?:@${DIGEST})?$`);
const REGISTRY = new RegExp(`^(?<domain>${DOMAIN})(?:/${PATH})?$`);

/** Longest name, and more than a tag and a digest can add to it, characters. */
const MAX_NAME = 255;
const MAX_REFERENCE = 600;

/** Lowercase hexadecimal digits of each algorithm (opencontainers/go-digest, algorithm.go). */
const DIGITS: Readonly<Record<string, number>> = { sha256: 64, sha384: 96, sha512: 128 };

/** Why a text names no image; undefined: it does. Pure. */
export function imageProblem(text: string): string | undefined {
  const example = "such as registry.example:5000/team/redis:7.2";
  const groups = text.length > MAX_REFERENCE ? undefined : REFERENCE.exec(text)?.groups;
  if (groups === undefined) {
    return text.length <= MAX_REFERENCE && REFERENCE.test(text.toLowerCase())
      ? "must be lowercase after the registry"
      : `must be an image reference ${example}`;
  }
  const { name = "", algorithm, hex = "" } = groups;
  if (name.length > MAX_NAME) return `must have a name of at most ${MAX_NAME} characters`;
  if (/^[a-f0-9]{64}$/.test(name)) return `must be a name, not an image's id: ${example}`;
  if (algorithm === undefined) return undefined;
  const digits = DIGITS[algorithm];
  if (digits === undefined)
    return `must have a digest of ${Object.keys(DIGITS).join(", ")}, not ${algorithm}`;
  return hex.length === digits && hex === hex.toLowerCase()
    ? undefined
    : `must have a ${algorithm} digest of ${digits} lowercase hexadecimal digits`;
}

/**
 * Why a text names no registry (optionally with a path in it); undefined: it does. Without a dot, a port or "localhost" in
 * its first part, a runtime reads a name as a path on Docker Hub. Pure.
 */
export function registryProblem(text: string): string | undefined {
  const domain = text.length > MAX_NAME ? undefined : REGISTRY.exec(text)?.groups?.["domain"];
  if (domain !== undefined && (/[.:]/.test(domain) || domain === "localhost")) return undefined;
  return "must be a registry such as mirror.example:5000, or a path on it such as mirror.example/dockerhub";
}
