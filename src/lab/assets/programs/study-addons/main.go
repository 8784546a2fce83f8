// study-addons does the jobs of the kube-system components that the study took down and whose images are not to
// be had on a machine without a registry. One program, because its images then share one layer; each job is made
// to do the real one's work, and to stop doing it when the real one would: the last known state is kept while the
// API server is away, nothing ends because something else is away, SIGTERM ends it within a second.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"sort"
	"strings"
	"syscall"
	"time"

	"k8s.io/klog/v2"
)

// grace is how long the last work may take after SIGTERM; the shortest grace that a pod is deleted with.
const grace = time.Second

// job is one of the components.
type job struct {
	standsFor string
	// prepare declares the flags and returns what is done once they are read; that runs until the context ends.
	prepare func(flags *flag.FlagSet) func(ctx context.Context) error
}

var jobs = map[string]job{
	"cluster-proportional-autoscaler": {"the cluster-proportional-autoscaler", autoscaler},
	"default-backend":                 {"ingress-gce's 404 server", defaultBackend},
	"event-exporter":                  {"the Stackdriver event exporter", eventExporter},
	"fluentd":                         {"fluentd with Stackdriver's output", fluentd},
	"fluentd-scaler":                  {"the fluentd-gcp scaler", fluentdScaler},
	"heapster":                        {"Heapster", heapster},
	"metrics-server":                  {"metrics-server", metricsServer},
}

func main() {
	name := ""
	if len(os.Args) > 1 {
		name = os.Args[1]
	}
	chosen, known := jobs[name]
	if !known {
		names := make([]string, 0, len(jobs))
		for each := range jobs {
			names = append(names, each)
		}
		sort.Strings(names)
		fmt.Fprintf(os.Stderr, "usage: study-addons %s [flags]\n", strings.Join(names, "|"))
		os.Exit(2)
	}
	flags := flag.NewFlagSet(name, flag.ExitOnError)
	klog.InitFlags(flags)
	run := chosen.prepare(flags)
	_ = flags.Parse(os.Args[2:])
	klog.Infof("study-addons %s, a stand-in for %s", name, chosen.standsFor)

	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		klog.Infof("%s: ending", <-signals)
		time.AfterFunc(grace, func() { os.Exit(0) })
		cancel()
	}()
	if err := run(ctx); err != nil && ctx.Err() == nil {
		klog.Fatal(err)
	}
}

// every does something at once and then at each interval; work that takes longer delays the next, it never piles up.
func every(ctx context.Context, interval time.Duration, work func()) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for ctx.Err() == nil {
		work()
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
}

// pause waits, or returns false when the end has come.
func pause(ctx context.Context, duration time.Duration) bool {
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
