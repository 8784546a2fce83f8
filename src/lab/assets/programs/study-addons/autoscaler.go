package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"strings"
	"time"

	autoscaling "k8s.io/api/autoscaling/v1"
	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"
)

// linear are the parameters of the mode that kube-dns is scaled with.
type linear struct {
	CoresPerReplica           float64 `json:"coresPerReplica"`
	NodesPerReplica           float64 `json:"nodesPerReplica"`
	Min                       int     `json:"min"`
	Max                       int     `json:"max"`
	PreventSinglePointFailure bool    `json:"preventSinglePointFailure"`
	IncludeUnschedulableNodes bool    `json:"includeUnschedulableNodes"`
}

func parseLinear(text string) (linear, error) {
	var params linear
	if err := json.Unmarshal([]byte(text), &params); err != nil {
		return params, fmt.Errorf("the linear parameters are no JSON: %v", err)
	}
	if params.Min == 0 {
		params.Min = 1
	}
	switch {
	case params.Min < 0 || params.CoresPerReplica < 0 || params.NodesPerReplica < 0:
		return params, errors.New("the linear parameters are negative")
	case params.Max != 0 && params.Max < params.Min:
		return params, errors.New("the linear parameters have a max below the min")
	case params.CoresPerReplica == 0 && params.NodesPerReplica == 0:
		return params, errors.New("the linear parameters have neither coresPerReplica nor nodesPerReplica")
	}
	return params, nil
}

// expected is how many replicas a cluster of this size should have: the larger of the two counts.
func (p linear) expected(nodes int, cores int64) int32 {
	byNodes, byCores := p.count(float64(nodes), p.NodesPerReplica), p.count(float64(cores), p.CoresPerReplica)
	// One replica on one of several nodes would be gone with that node.
	if p.PreventSinglePointFailure && nodes > 1 && byNodes < 2 {
		byNodes = 2
	}
	return int32(math.Max(byNodes, byCores))
}

func (p linear) count(resources, perReplica float64) float64 {
	if perReplica == 0 {
		return 1
	}
	count := math.Ceil(resources / perReplica)
	if p.Max != 0 {
		count = math.Min(float64(p.Max), count)
	}
	return math.Max(float64(p.Min), count)
}

func autoscaler(flags *flag.FlagSet) func(ctx context.Context) error {
	namespace := flags.String("namespace", "kube-system", "where the target and the ConfigMap are")
	configMap := flags.String("configmap", "", "the ConfigMap with the parameters")
	target := flags.String("target", "", "Deployment/NAME")
	defaults := flags.String("default-params", "", "what the ConfigMap is created with, as JSON, when it is missing")
	period := flags.Int("poll-period-seconds", 10, "how often the count is compared")
	return func(ctx context.Context) error {
		parts := strings.SplitN(*target, "/", 2)
		kind := strings.ToLower(parts[0])
		if len(parts) != 2 || (kind != "deployment" && kind != "deployments") || parts[1] == "" || *configMap == "" {
			return fmt.Errorf("--configmap and --target=Deployment/NAME are needed, not %q, %q", *configMap, *target)
		}
		_, client, err := connect("cluster-proportional-autoscaler")
		if err != nil {
			return err
		}
		factory := informers.NewSharedInformerFactory(client, 0)
		nodes := factory.Core().V1().Nodes()
		informer, lister := nodes.Informer(), nodes.Lister()
		factory.Start(ctx.Done())
		every(ctx, time.Duration(*period)*time.Second, func() {
			// Without a list of the nodes the count would be the least; a wrong one is not to be written.
			if !informer.HasSynced() && !(pause(ctx, time.Second) && informer.HasSynced()) {
				klog.Info("the nodes are not listed yet")
				return
			}
			listed, err := lister.List(labels.Everything())
			if err == nil {
				err = scale(ctx, client, *namespace, parts[1], *configMap, *defaults, listed)
			}
			if err != nil {
				klog.Errorf("cannot scale %s: %v", *target, err)
			}
		})
		return nil
	}
}

// scale compares the count with the expected one, and sets it through the scale subresource when it differs.
func scale(ctx context.Context, client kubernetes.Interface, namespace, name, configMap, defaults string,
	nodes []*v1.Node) error {
	limited, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	config, err := client.CoreV1().ConfigMaps(namespace).Get(limited, configMap, metav1.GetOptions{})
	if apierrors.IsNotFound(err) && defaults != "" {
		config, err = createParams(limited, client, namespace, configMap, defaults)
	}
	if err != nil {
		return err
	}
	params, err := parseLinear(config.Data["linear"])
	if err != nil {
		return err
	}
	count, cores := 0, resource.Quantity{}
	for _, node := range nodes {
		if !node.Spec.Unschedulable || params.IncludeUnschedulableNodes {
			count++
			cores.Add(node.Status.Allocatable[v1.ResourceCPU])
		}
	}
	expected := params.expected(count, cores.Value())
	deployments := client.AppsV1().Deployments(namespace)
	current, err := deployments.GetScale(limited, name, metav1.GetOptions{})
	if err != nil || current.Spec.Replicas == expected {
		return err
	}
	klog.Infof("%d nodes with %d cores: %s from %d replicas to %d", count, cores.Value(), name,
		current.Spec.Replicas, expected)
	wanted := &autoscaling.Scale{ObjectMeta: current.ObjectMeta, Spec: autoscaling.ScaleSpec{Replicas: expected}}
	_, err = deployments.UpdateScale(limited, name, wanted, metav1.UpdateOptions{})
	return err
}

// createParams makes the ConfigMap of --default-params: {"linear": {…}}, one key for each mode.
func createParams(ctx context.Context, client kubernetes.Interface, namespace, name, defaults string) (
	*v1.ConfigMap, error) {
	var modes map[string]json.RawMessage
	if err := json.Unmarshal([]byte(defaults), &modes); err != nil {
		return nil, fmt.Errorf("--default-params is no JSON: %v", err)
	}
	data := map[string]string{}
	for mode, params := range modes {
		data[mode] = string(params)
	}
	klog.Infof("creating the ConfigMap %s", name)
	config := &v1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace}, Data: data}
	return client.CoreV1().ConfigMaps(namespace).Create(ctx, config, metav1.CreateOptions{})
}
