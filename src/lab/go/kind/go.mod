module kube-system-chaos/lab/kind

go 1.26.3

require sigs.k8s.io/kind v0.33.0


