package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"
)

// scaledContainer is the one of fluentd's containers that the scaler looks at.
const scaledContainer = "fluentd-gcp"

func fluentdScaler(flags *flag.FlagSet) func(ctx context.Context) error {
	name := flags.String("ds-name", "", "the DaemonSet")
	namespace := flags.String("namespace", "kube-system", "where it is")
	seconds := flags.Int("poll-seconds", 10, "how often its resources are compared")
	flags.String("scaling-policy", "", "accepted and not read: the environment's values are always meant")
	return func(ctx context.Context) error {
		if *name == "" {
			return errors.New("--ds-name=NAME is needed")
		}
		wanted, err := wantedResources()
		if err != nil {
			return err
		}
		_, client, err := connect("fluentd-gcp-scaler")
		if err != nil {
			return err
		}
		every(ctx, time.Duration(*seconds)*time.Second, func() {
			if err := setResources(ctx, client, *namespace, *name, wanted); err != nil {
				klog.Errorf("cannot scale %s: %v", *name, err)
			}
		})
		return nil
	}
}

// wantedResources reads CPU_REQUEST, MEMORY_REQUEST, CPU_LIMIT and MEMORY_LIMIT; what is not set is left alone.
func wantedResources() (v1.ResourceRequirements, error) {
	wanted := v1.ResourceRequirements{Requests: v1.ResourceList{}, Limits: v1.ResourceList{}}
	for suffix, list := range map[string]v1.ResourceList{"REQUEST": wanted.Requests, "LIMIT": wanted.Limits} {
		for _, name := range []v1.ResourceName{v1.ResourceCPU, v1.ResourceMemory} {
			variable := strings.ToUpper(string(name)) + "_" + suffix
			text := os.Getenv(variable)
			if text == "" {
				continue
			}
			quantity, err := resource.ParseQuantity(text)
			if err != nil {
				return wanted, fmt.Errorf("%s=%s: %v", variable, text, err)
			}
			list[name] = quantity
		}
	}
	return wanted, nil
}

func setResources(ctx context.Context, client kubernetes.Interface, namespace, name string,
	wanted v1.ResourceRequirements) error {
	limited, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	sets := client.AppsV1().DaemonSets(namespace)
	set, err := sets.Get(limited, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	for _, container := range set.Spec.Template.Spec.Containers {
		if container.Name != scaledContainer {
			continue
		}
		if has(container.Resources.Requests, wanted.Requests) && has(container.Resources.Limits, wanted.Limits) {
			return nil
		}
		klog.Infof("setting the resources of %s", name)
		patch, err := json.Marshal(map[string]interface{}{"spec": map[string]interface{}{
			"template": map[string]interface{}{"spec": map[string]interface{}{
				"containers": []interface{}{map[string]interface{}{"name": scaledContainer, "resources": wanted}},
			}},
		}})
		if err == nil {
			_, err = sets.Patch(limited, name, types.StrategicMergePatchType, patch, metav1.PatchOptions{})
		}
		return err
	}
	return fmt.Errorf("it has no container %s", scaledContainer)
}

// has says whether all that is wanted is there; 1 and 1000m are the same.
func has(there, wanted v1.ResourceList) bool {
	for name, quantity := range wanted {
		found, ok := there[name]
		if !ok || found.Cmp(quantity) != 0 {
			return false
		}
	}
	return true
}
