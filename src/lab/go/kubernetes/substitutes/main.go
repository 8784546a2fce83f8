// Program substitutes does the work of four programs of the study's add-ons that the Go module proxy does not offer.
// Each takes the flags, asks the API and keeps the interval of the public program, as its source has them:
//
//	cluster-proportional-autoscaler  kubernetes-sigs/cluster-proportional-autoscaler
//	kubernetes-event-exporter        resmoio/kubernetes-event-exporter
//	404-server-with-metrics          kubernetes/ingress-gce, cmd/404-server-with-metrics
//	scaler.sh                        GoogleCloudPlatform/k8s-stackdriver, archived/fluentd-gcp-scaler
//
// One program, so that the images share a layer. It takes the name from its own file's name (a link to it), or else
// from its first argument. SIGTERM ends it at once.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

var programs = map[string]func(args []string) error{
	"cluster-proportional-autoscaler": autoscaler,
	"kubernetes-event-exporter":       eventExporter,
	"404-server-with-metrics":         notFoundServer,
	"scaler.sh":                       fluentdScaler,
}

func main() {
	name, args := filepath.Base(os.Args[0]), os.Args[1:]
	if programs[name] == nil && len(args) > 0 {
		name, args = args[0], args[1:]
	}
	program := programs[name]
	if program == nil {
		fmt.Fprintf(os.Stderr, "no such program: %s\n", name)
		os.Exit(2)
	}
	if err := program(args); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
}

// connect makes a client with the pod's ServiceAccount. It sends nothing yet.
func connect(name string, adjust func(*rest.Config)) (kubernetes.Interface, error) {
	config, err := rest.InClusterConfig()
	if err != nil {
		return nil, err
	}
	config.UserAgent = name
	adjust(config)
	return kubernetes.NewForConfig(config)
}
