package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

const (
	// scaledContainer is the only container that the public script looks at.
	scaledContainer = "fluentd-gcp"
	// scalerManager is the field manager of `kubectl set`, with which the public script changes the DaemonSet.
	scalerManager = "kubectl-set"
)

// setting is one value that the script sets: CPU_REQUEST is requests.cpu.
type setting struct {
	list     string
	resource v1.ResourceName
	variable string
}

var settings = []setting{
	{"requests", v1.ResourceCPU, "CPU_REQUEST"},
	{"requests", v1.ResourceMemory, "MEMORY_REQUEST"},
	{"limits", v1.ResourceCPU, "CPU_LIMIT"},
	{"limits", v1.ResourceMemory, "MEMORY_LIMIT"},
}

// policy is what the script reads of a ScalingPolicy (group scalingpolicy.kope.io).
type policy struct {
	Spec struct {
		Containers []struct {
			Name      string `json:"name"`
			Resources map[string][]struct {
				Resource string `json:"resource"`
				Base     string `json:"base"`
			} `json:"resources"`
		} `json:"containers"`
	} `json:"spec"`
}

// fluentdScaler is fluentd-gcp-scaler: at each interval it compares the resources of a DaemonSet's container with the
// ScalingPolicy, or with the environment, and sets those that differ. The script asks for the DaemonSet once for each
// value; this program once.
func fluentdScaler(args []string) error {
	values := map[string]string{}
	for _, arg := range args {
		name, value, _ := strings.Cut(arg, "=")
		if name != "--ds-name" && name != "--scaling-policy" {
			return fmt.Errorf("unrecognized argument %s", arg)
		}
		values[name] = value
	}
	name, policyName := values["--ds-name"], values["--scaling-policy"]
	if name == "" || policyName == "" {
		return errors.New("--ds-name=NAME and --scaling-policy=NAME are needed")
	}
	seconds, err := strconv.Atoi(environment("SLEEP_SECONDS", "60"))
	if err != nil {
		return fmt.Errorf("SLEEP_SECONDS: %w", err)
	}
	namespace := environment("NAMESPACE", "kube-system")
	client, err := connect("fluentd-gcp-scaler", func(*rest.Config) {})
	if err != nil {
		return err
	}
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		wanted := wantedResources(ctx, client, namespace, policyName)
		if err := setResources(ctx, client, namespace, name, wanted); err != nil {
			say(err.Error())
		}
		cancel()
		time.Sleep(time.Duration(seconds) * time.Second)
	}
}

func environment(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

// say logs as the script's `date -Ins` does.
func say(text string) {
	fmt.Println(strings.Replace(time.Now().Format("2006-01-02T15:04:05.000000000-07:00"), ".", ",", 1), text)
}

// wantedResources has the value of each variable. Without a ScalingPolicy, the environment decides.
func wantedResources(ctx context.Context, client kubernetes.Interface, namespace, name string) map[string]string {
	wanted := map[string]string{}
	for _, each := range settings {
		wanted[each.variable] = os.Getenv(each.variable)
	}
	path := fmt.Sprintf("/apis/scalingpolicy.kope.io/v1alpha1/namespaces/%s/scalingpolicies/%s", namespace, name)
	body, err := client.CoreV1().RESTClient().Get().AbsPath(path).Do(ctx).Raw()
	var found policy
	if err != nil || json.Unmarshal(body, &found) != nil {
		return wanted
	}
	for _, container := range found.Spec.Containers {
		for _, each := range settings {
			for _, entry := range container.Resources[each.list] {
				if container.Name == scaledContainer && entry.Resource == string(each.resource) && entry.Base != "" {
					wanted[each.variable] = entry.Base
				}
			}
		}
	}
	return wanted
}

func setResources(ctx context.Context, client kubernetes.Interface, namespace, name string,
	wanted map[string]string) error {
	sets := client.AppsV1().DaemonSets(namespace)
	set, err := sets.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	change, needed := map[string]map[string]string{}, false
	for _, each := range settings {
		is, want := currentOf(set.Spec.Template.Spec.Containers, each), wanted[each.variable]
		if is != want {
			say(fmt.Sprintf("%s.%s needs updating. Is: '%s', want: '%s'.", each.list, each.resource, is, want))
			needed = true
		}
		if want != "" {
			if change[each.list] == nil {
				change[each.list] = map[string]string{}
			}
			change[each.list][string(each.resource)] = want
		}
	}
	if !needed || len(change) == 0 {
		return nil
	}
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"template": map[string]any{"spec": map[string]any{
		"containers": []any{map[string]any{"name": scaledContainer, "resources": change}},
	}}}})
	if err != nil {
		return err
	}
	say(fmt.Sprintf("Running: kubectl set resources -n %s ds %s -c %s", namespace, name, scaledContainer))
	_, err = sets.Patch(ctx, name, types.StrategicMergePatchType, patch,
		metav1.PatchOptions{FieldManager: scalerManager})
	return err
}

// currentOf is a value as the API has it, "" if it is not set. The script compares texts: 1000m is not 1.
func currentOf(containers []v1.Container, what setting) string {
	for _, container := range containers {
		if container.Name != scaledContainer {
			continue
		}
		list := container.Resources.Requests
		if what.list == "limits" {
			list = container.Resources.Limits
		}
		if quantity, found := list[what.resource]; found {
			return quantity.String()
		}
	}
	return ""
}
