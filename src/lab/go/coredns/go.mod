module kube-system-chaos/lab/coredns

go 1.26.6

require github.com/coredns/coredns v1.14.3


