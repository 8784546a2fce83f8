package main

import (
	"bytes"
	"context"
	"flag"
	"time"

	"k8s.io/client-go/informers"
	stats "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
)

// point is one value of one metric; Heapster's names and units (millicores, bytes).
type point struct {
	Node      string    `json:"node"`
	Namespace string    `json:"namespace,omitempty"`
	Pod       string    `json:"pod,omitempty"`
	Name      string    `json:"name"`
	Value     uint64    `json:"value"`
	Time      time.Time `json:"time"`
}

func heapster(flags *flag.FlagSet) func(ctx context.Context) error {
	url := flags.String("sink", "", "where metrics are forwarded to: URL/metrics")
	resolution := flags.Duration("metric-resolution", 5*time.Second, "how often the kubelets are asked")
	return func(ctx context.Context) error {
		target, err := newSink(*url, "/metrics")
		if err != nil {
			return err
		}
		config, client, err := connect("heapster")
		if err != nil {
			return err
		}
		factory := informers.NewSharedInformerFactory(client, 0)
		kubelets, err := newKubelets(config, factory.Core().V1().Nodes().Lister())
		if err != nil {
			return err
		}
		factory.Start(ctx.Done())
		factory.WaitForCacheSync(ctx.Done())
		every(ctx, *resolution, func() {
			var body bytes.Buffer
			for _, summary := range kubelets.scrape(ctx) {
				addPoints(&body, point{Node: summary.Node.NodeName}, summary.Node.CPU, summary.Node.Memory)
				for _, pod := range summary.Pods {
					at := point{Node: summary.Node.NodeName, Namespace: pod.PodRef.Namespace, Pod: pod.PodRef.Name}
					addPoints(&body, at, pod.CPU, pod.Memory)
				}
			}
			// As with Heapster, a round that cannot be delivered is lost.
			if body.Len() > 0 {
				_ = target.post(ctx, body.Bytes())
			}
		})
		return nil
	}
}

// addPoints writes the points of a node or a pod, with the time at which the kubelet measured them.
func addPoints(body *bytes.Buffer, at point, cpu *stats.CPUStats, memory *stats.MemoryStats) {
	if cpu != nil && cpu.UsageNanoCores != nil {
		at.Name, at.Value, at.Time = "cpu/usage_rate", *cpu.UsageNanoCores/1_000_000, cpu.Time.UTC()
		addLine(body, at)
	}
	if memory != nil && memory.WorkingSetBytes != nil {
		at.Name, at.Value, at.Time = "memory/working_set", *memory.WorkingSetBytes, memory.Time.UTC()
		addLine(body, at)
	}
}
