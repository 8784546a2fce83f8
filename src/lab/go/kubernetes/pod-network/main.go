// pod-network gives the pods of one node their network: it writes the CNI configuration from the node's pod
// ranges, keeps one route per other node, and masquerades what leaves the pod network: for IPv4, IPv6 or both. It
// does what kind's own network agent does, under its own name.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

const (
	configDir = "/etc/cni/net.d"
	chain     = "KIND-MASQ-AGENT"
	// How often routes and rules are made again although nothing changed.
	resync = 30 * time.Second
)

// The network of one node: a pair of interfaces per pod (no bridge, so that a Service's address translation
// sees every packet), addresses from the node's range, host ports.
const configTemplate = `{
  "cniVersion": "0.3.1",
  "name": "pod-network",
  "plugins": [
    {
      "type": "ptp",
      "ipMasq": false,
      "ipam": {
        "type": "host-local",
        "dataDir": "/run/cni-ipam-state",
        "routes": %s,
        "ranges": %s
      }
    },
    { "type": "portmap", "capabilities": { "portMappings": true } }
  ]
}
`

func main() {
	klog.InitFlags(nil)
	flag.Parse()
	// One subnet per family.
	nodeName, podSubnets := os.Getenv("NODE_NAME"), strings.Split(os.Getenv("POD_SUBNET"), ",")
	config, err := rest.InClusterConfig()
	if err != nil {
		klog.Fatalf("no API server: %v", err)
	}
	// The Service address of the API server works only once kube-proxy does; the control plane's own name
	// works at once, and on through an outage of kube-proxy.
	if endpoint := os.Getenv("CONTROL_PLANE_ENDPOINT"); endpoint != "" {
		config.Host = "https://" + endpoint
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		klog.Fatalf("cannot make a client: %v", err)
	}

	stop := make(chan struct{})
	factory := informers.NewSharedInformerFactory(client, 5*time.Minute)
	nodes := factory.Core().V1().Nodes()
	changed := make(chan struct{}, 1)
	notify := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	nodes.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(interface{}) { notify() },
		UpdateFunc: func(interface{}, interface{}) { notify() },
		DeleteFunc: func(interface{}) { notify() },
	})
	factory.Start(stop)
	if !cache.WaitForCacheSync(stop, nodes.Informer().HasSynced) {
		klog.Fatal("the nodes could not be listed")
	}

	for {
		if err := reconcile(nodes.Lister(), nodeName, podSubnets); err != nil {
			klog.Errorf("will try again: %v", err)
			time.AfterFunc(time.Second, notify)
		}
		select {
		case <-changed:
		case <-time.After(resync):
		}
	}
}

func reconcile(lister listers.NodeLister, self string, podSubnets []string) error {
	nodes, err := lister.List(labels.Everything())
	if err != nil {
		return err
	}
	for _, node := range nodes {
		if len(node.Spec.PodCIDRs) > 0 && node.Name == self {
			if err := writeConfig(node.Spec.PodCIDRs); err != nil {
				return err
			}
			continue
		}
		for _, subnet := range node.Spec.PodCIDRs {
			address := internalIP(node, isIPv6(subnet))
			if address == "" {
				continue
			}
			if err := command("ip", "route", "replace", subnet, "via", address); err != nil {
				return err
			}
		}
	}
	for _, subnet := range podSubnets {
		if err := masquerade(subnet); err != nil {
			return err
		}
	}
	return nil
}

func isIPv6(address string) bool {
	return strings.Contains(address, ":")
}

func internalIP(node *v1.Node, ipv6 bool) string {
	for _, address := range node.Status.Addresses {
		if address.Type == v1.NodeInternalIP && isIPv6(address.Address) == ipv6 {
			return address.Address
		}
	}
	return ""
}

// The file appears whole or not at all: the runtime reads it at any time.
func writeConfig(subnets []string) error {
	type object map[string]string
	routes, ranges := []object{}, [][]object{}
	for _, subnet := range subnets {
		everything := "0.0.0.0/0"
		if isIPv6(subnet) {
			everything = "::/0"
		}
		routes = append(routes, object{"dst": everything})
		ranges = append(ranges, []object{{"subnet": subnet}})
	}
	routesJSON, err := json.Marshal(routes)
	if err != nil {
		return err
	}
	rangesJSON, err := json.Marshal(ranges)
	if err != nil {
		return err
	}
	path := filepath.Join(configDir, "10-pod-network.conflist")
	content := []byte(fmt.Sprintf(configTemplate, routesJSON, rangesJSON))
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, content) {
		return nil
	}
	temporary := path + ".new"
	if err := os.WriteFile(temporary, content, 0o644); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}

func masquerade(podSubnet string) error {
	iptables := "iptables"
	if isIPv6(podSubnet) {
		iptables = "ip6tables"
	}
	_ = command(iptables, "-w", "-t", "nat", "-N", chain)
	rules := [][]string{
		{"POSTROUTING", "-m", "addrtype", "!", "--dst-type", "LOCAL", "-j", chain},
		{chain, "-d", podSubnet, "-j", "RETURN"},
		{chain, "-j", "MASQUERADE"},
	}
	for _, rule := range rules {
		if command(iptables, append([]string{"-w", "-t", "nat", "-C"}, rule...)...) == nil {
			continue
		}
		if err := command(iptables, append([]string{"-w", "-t", "nat", "-A"}, rule...)...); err != nil {
			return err
		}
	}
	return nil
}

func command(name string, args ...string) error {
	output, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %v: %v: %s", name, args, err, bytes.TrimSpace(output))
	}
	return nil
}
