module kube-system-chaos/lab/coredns

go 1.26.3

require github.com/coredns/coredns v1.14.3


