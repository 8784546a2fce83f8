package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes"
	listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	stats "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
)

// apiTimeout bounds single requests; watches are not bound by it.
const apiTimeout = 5 * time.Second

// connect makes a client with the pod's own ServiceAccount. It asks the API server nothing yet.
func connect(name string) (*rest.Config, kubernetes.Interface, error) {
	config, err := rest.InClusterConfig()
	if err != nil {
		return nil, nil, fmt.Errorf("not in a cluster: %v", err)
	}
	config.UserAgent = name
	client, err := kubernetes.NewForConfig(config)
	return config, client, err
}

// kubelets asks every node's kubelet for its statistics, as metrics-server and Heapster do.
type kubelets struct {
	nodes  listers.NodeLister
	client *http.Client
}

func newKubelets(config *rest.Config, nodes listers.NodeLister) (*kubelets, error) {
	own := rest.CopyConfig(config)
	// A kubelet of kind serves with a certificate that it signed itself.
	own.TLSClientConfig = rest.TLSClientConfig{Insecure: true}
	transport, err := rest.TransportFor(own)
	if err != nil {
		return nil, err
	}
	return &kubelets{nodes: nodes, client: &http.Client{Transport: transport, Timeout: 5 * time.Second}}, nil
}

// scrape asks all kubelets at once and returns the answers of those that gave one.
func (k *kubelets) scrape(ctx context.Context) []*stats.Summary {
	nodes, err := k.nodes.List(labels.Everything())
	if err != nil {
		klog.Errorf("cannot list the nodes: %v", err)
	}
	var group sync.WaitGroup
	answers := make([]*stats.Summary, len(nodes))
	for i, node := range nodes {
		group.Add(1)
		go func(i int, node *v1.Node) {
			defer group.Done()
			summary, err := k.ask(ctx, node)
			if err != nil {
				klog.Errorf("no statistics of the node %s: %v", node.Name, err)
				return
			}
			answers[i] = summary
		}(i, node)
	}
	group.Wait()
	var summaries []*stats.Summary
	for _, summary := range answers {
		if summary != nil {
			summaries = append(summaries, summary)
		}
	}
	return summaries
}

func (k *kubelets) ask(ctx context.Context, node *v1.Node) (*stats.Summary, error) {
	address := node.Name
	for _, each := range node.Status.Addresses {
		if each.Type == v1.NodeInternalIP {
			address = each.Address
			break
		}
	}
	port := int(node.Status.DaemonEndpoints.KubeletEndpoint.Port)
	if port == 0 {
		port = 10250
	}
	url := "https://" + net.JoinHostPort(address, strconv.Itoa(port)) + "/stats/summary?only_cpu_and_memory=true"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := k.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the kubelet answered %s", response.Status)
	}
	summary := &stats.Summary{}
	if err := json.NewDecoder(response.Body).Decode(summary); err != nil {
		return nil, err
	}
	summary.Node.NodeName = node.Name
	return summary, nil
}
