/** A kubeconfig's content, with the field names of client-go's tools/clientcmd/api/types.go. "" and [] mean: not set. */

export interface KubeCluster {
  readonly server: string;
  readonly tlsServerName: string;
  readonly insecureSkipTlsVerify: boolean;
  /** Path of a file; absolute once the file is loaded. So are all paths here. */
  readonly certificateAuthority: string;
  readonly certificateAuthorityData: Buffer;
  readonly proxyUrl: string;
  readonly disableCompression: boolean;
  /** The extension `client.authentication.k8s.io/exec`: passed to the credential plugin. */
  readonly execConfig: unknown;
}

export interface KubeExec {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: readonly { readonly name: string; readonly value: string }[];
  readonly apiVersion: string;
  readonly installHint: string;
  readonly provideClusterInfo: boolean;
  readonly interactiveMode: string;
}

export interface KubeUser {
  readonly clientCertificate: string;
  readonly clientCertificateData: Buffer;
  readonly clientKey: string;
  readonly clientKeyData: Buffer;
  readonly token: string;
  readonly tokenFile: string;
  readonly impersonate: string;
  readonly impersonateUid: string;
  readonly impersonateGroups: readonly string[];
  readonly impersonateUserExtra: ReadonlyMap<string, readonly string[]>;
  readonly username: string;
  readonly password: string;
  /** The name of an auth-provider. */
  readonly authProvider: string | undefined;
  readonly exec: KubeExec | undefined;
}

export interface KubeContext {
  readonly cluster: string;
  readonly user: string;
}

/** A definition and the file that it comes from. */
export interface Defined<T> {
  readonly file: string;
  readonly value: T;
}

/** One file, or several merged ones. */
export interface Kubeconfig {
  readonly currentContext: Defined<string> | undefined;
  readonly clusters: ReadonlyMap<string, Defined<KubeCluster>>;
  readonly users: ReadonlyMap<string, Defined<KubeUser>>;
  readonly contexts: ReadonlyMap<string, Defined<KubeContext>>;
}

/** Everything that a connection needs. */
export interface ClusterAccess {
  readonly context: string;
  /** A URL without a slash at its end. */
  readonly server: string;
  readonly cluster: KubeCluster;
  readonly user: KubeUser;
  /** How messages name the user and its file: `user "admin" in /home/a/.kube/config`. */
  readonly userWords: string;
  readonly clusterWords: string;
  /** The files, as KUBECONFIG lists them; undefined: in a pod. */
  readonly list: string | undefined;
}

/** A user without any credentials. */
export const ANONYMOUS: KubeUser = {
  clientCertificate: "",
  clientCertificateData: Buffer.alloc(0),
  clientKey: "",
  clientKeyData: Buffer.alloc(0),
  token: "",
  tokenFile: "",
  impersonate: "",
  impersonateUid: "",
  impersonateGroups: [],
  impersonateUserExtra: new Map(),
  username: "",
  password: "",
  authProvider: undefined,
  exec: undefined,
};
