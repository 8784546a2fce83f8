/** Every environment variable that the CLI reads, and its purpose. Programs in pods have their own. */
export const ENVIRONMENT = {
  KUBECONFIG: "kubeconfig files, as kubectl reads them; default: ~/.kube/config",
  HTTPS_PROXY:
    "proxy to the API server, and HTTP_PROXY, NO_PROXY (also in lower case), as Go reads them; a kubeconfig's proxy-url wins",
  XDG_STATE_HOME: "below it: journals of runs, kubeconfig of the kind cluster; default: ~/.local/state",
  XDG_CONFIG_HOME: "below it: kube-system-chaos/config.yaml; default: ~/.config",
  XDG_CACHE_HOME: "below it: what the lab has built; default: ~/.cache",
  KUBE_SYSTEM_CHAOS_CACHE: "absolute path, instead of the one below XDG_CACHE_HOME",
  GOENV: "Go's settings, for the module proxy of the lab's build; default: go/env below XDG_CONFIG_HOME",
  KIND_EXPERIMENTAL_PROVIDER:
    "docker, podman, nerdctl, finch or nerdctl.lima: the engine of kind clusters, as kind reads it",
  KUBE_SYSTEM_CHAOS_DEBUG: "not empty: an unexpected error is printed with its stack, for a bug report",
  npm_command: "exec: npx started it, so the command line to repeat starts with npx",
  NO_COLOR: "not empty: no colours in the live view",
  CI: "not empty and not false: plain lines instead of the live view",
  GITHUB_ACTIONS: "true: the reporter github is added if no other is named",
  GITHUB_WORKSPACE: "the repository, to which the reporter github gives the paths of files",
  GITHUB_STEP_SUMMARY: "file to which the reporter github appends a summary",
  GITHUB_OUTPUT: "file to which the reporter github appends values for later steps",
  TERM: "dumb: plain lines instead of the live view",
} as const;
