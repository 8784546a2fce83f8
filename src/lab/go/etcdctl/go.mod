module kube-system-chaos/lab/etcdctl

go 1.26.3

require go.etcd.io/etcd/etcdctl/v3 v3.6.8


