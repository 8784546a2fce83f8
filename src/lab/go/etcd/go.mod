module kube-system-chaos/lab/etcd

go 1.26.3

require go.etcd.io/etcd/server/v3 v3.6.8


