module kube-system-chaos/lab/cni-plugins

go 1.26.3

require github.com/containernetworking/plugins v1.9.1


