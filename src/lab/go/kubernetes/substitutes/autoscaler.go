package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	autoscaling "k8s.io/api/autoscaling/v1"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
)

// linear has the parameters of the mode "linear". The public program has a second mode, "ladder".
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
		return params, fmt.Errorf("could not parse parameters (%w)", err)
	}
	if params.Min == 0 {
		params.Min = 1
	}
	switch {
	case params.Min < 0 || params.CoresPerReplica < 0 || params.NodesPerReplica < 0:
		return params, errors.New("a parameter is negative")
	case params.Max != 0 && params.Max < params.Min:
		return params, fmt.Errorf("max %d is less than min %d", params.Max, params.Min)
	case params.CoresPerReplica == 0 && params.NodesPerReplica == 0:
		return params, errors.New("neither coresPerReplica nor nodesPerReplica is set")
	}
	return params, nil
}

// expected is how many replicas a cluster of this size should have: the larger of the two counts.
func (p linear) expected(size clusterSize) int32 {
	nodes, cores := size.schedulableNodes, size.schedulableCores
	if p.IncludeUnschedulableNodes {
		nodes, cores = size.nodes, size.cores
	}
	byNodes, byCores := p.count(nodes, p.NodesPerReplica), p.count(cores, p.CoresPerReplica)
	// One replica on one of several nodes would be gone with that node.
	if p.PreventSinglePointFailure && nodes > 1 && byNodes < 2 {
		byNodes = 2
	}
	return int32(math.Max(byNodes, byCores))
}

func (p linear) count(resources int64, perReplica float64) float64 {
	if perReplica == 0 {
		return 1
	}
	count := math.Ceil(float64(resources) / perReplica)
	if p.Max != 0 {
		count = math.Min(float64(p.Max), count)
	}
	return math.Max(float64(p.Min), count)
}

type clusterSize struct{ nodes, schedulableNodes, cores, schedulableCores int64 }

func sizeOf(nodes []*v1.Node) clusterSize {
	var size clusterSize
	var cores, schedulable resource.Quantity
	for _, node := range nodes {
		size.nodes++
		cores.Add(node.Status.Allocatable[v1.ResourceCPU])
		if !node.Spec.Unschedulable && isReady(node) {
			size.schedulableNodes++
			schedulable.Add(node.Status.Allocatable[v1.ResourceCPU])
		}
	}
	size.cores, size.schedulableCores = cores.Value(), schedulable.Value()
	return size
}

func isReady(node *v1.Node) bool {
	for _, condition := range node.Status.Conditions {
		if condition.Type == v1.NodeReady {
			return condition.Status == v1.ConditionTrue
		}
	}
	return false
}

// defaultParams is the value of --default-params: a JSON object, whose keys are those of the ConfigMap.
type defaultParams map[string]string

func (d *defaultParams) String() string { return fmt.Sprint(map[string]string(*d)) }

func (d *defaultParams) Set(text string) error {
	var modes map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &modes); err != nil {
		return err
	}
	*d = defaultParams{}
	for mode, params := range modes {
		(*d)[mode] = string(params)
	}
	return nil
}

// proportional is one autoscaler: what its flags say, and what it knows.
type proportional struct {
	client    kubernetes.Interface
	nodes     listers.NodeLister
	namespace string
	targets   [][2]string
	configMap string
	defaults  defaultParams
	// version is the ConfigMap's when params were read from it.
	version string
	params  linear
}

// autoscaler is cluster-proportional-autoscaler: every 10 s it reads its ConfigMap and the scale of its targets, and
// changes the scale that differs from what the ConfigMap says for the number of nodes and cores.
func autoscaler(args []string) error {
	flags := flag.NewFlagSet("cluster-proportional-autoscaler", flag.ExitOnError)
	klog.InitFlags(flags)
	self := &proportional{}
	flags.StringVar(&self.namespace, "namespace", os.Getenv("MY_POD_NAMESPACE"), "where the target and the ConfigMap are")
	flags.StringVar(&self.configMap, "configmap", "", "the ConfigMap with the parameters")
	flags.Var(&self.defaults, "default-params", "what the ConfigMap is created with, as JSON, if there is none")
	target := flags.String("target", "", "deployment/NAME, replicaset/NAME, replicationcontroller/NAME, comma-separated")
	period := flags.Int("poll-period-seconds", 10, "how often the scale is compared")
	nodeLabels := flags.String("nodelabels", "", "count only nodes with these labels")
	maxFailures := flags.Int("max-sync-failures", 0, "exit after as many failures in a row; 0: never")
	version := flags.Bool("version", false, "print the version and exit")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *version {
		fmt.Println("substitute")
		return nil
	}
	var err error
	if self.targets, err = parseTargets(*target); err != nil {
		return err
	}
	if self.configMap == "" || self.namespace == "" || *period < 1 {
		return errors.New("--configmap, --namespace and a --poll-period-seconds of 1 or more are needed")
	}
	klog.Infof("Scaling Namespace: %s, Target: %s", self.namespace, strings.ToLower(*target))
	self.client, err = connect("cluster-proportional-autoscaler", func(config *rest.Config) {
		config.ContentType = "application/vnd.kubernetes.protobuf"
	})
	if err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactoryWithOptions(self.client, 0,
		informers.WithTweakListOptions(func(options *metav1.ListOptions) { options.LabelSelector = *nodeLabels }))
	self.nodes = factory.Core().V1().Nodes().Lister()
	ctx := context.Background()
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())

	var last atomic.Value
	last.Store("")
	go func() { klog.Fatal(http.ListenAndServe(":8080", healthOf(&last))) }()
	failures := 0
	for ticker := time.NewTicker(time.Duration(*period) * time.Second); ; <-ticker.C {
		if err := self.poll(ctx); err != nil {
			klog.Errorf("Update failure: %v", err)
			last.Store(err.Error())
			if failures++; failures == *maxFailures {
				return fmt.Errorf("%d failures in a row", failures)
			}
		} else {
			last.Store("")
			failures = 0
		}
	}
}

func parseTargets(text string) ([][2]string, error) {
	var targets [][2]string
	for _, each := range strings.Split(strings.ToLower(text), ",") {
		kind, name, _ := strings.Cut(strings.TrimSpace(each), "/")
		if name == "" || (kind != "deployment" && kind != "replicaset" && kind != "replicationcontroller") {
			return nil, fmt.Errorf("target format error: %q", text)
		}
		targets = append(targets, [2]string{kind, name})
	}
	return targets, nil
}

func healthOf(last *atomic.Value) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/last-poll", func(w http.ResponseWriter, _ *http.Request) {
		if text := last.Load().(string); text != "" {
			http.Error(w, "Encountered error at last poll cycle: "+text, http.StatusInternalServerError)
		}
	})
	return mux
}

func (p *proportional) poll(ctx context.Context) error {
	nodes, err := p.nodes.List(labels.Everything())
	if err != nil {
		return err
	}
	if err := p.readParams(ctx); err != nil {
		return err
	}
	size := sizeOf(nodes)
	for _, target := range p.targets {
		if err := p.scale(ctx, target[0], target[1], size); err != nil {
			return err
		}
	}
	return nil
}

func (p *proportional) readParams(ctx context.Context) error {
	configMaps := p.client.CoreV1().ConfigMaps(p.namespace)
	config, err := configMaps.Get(ctx, p.configMap, metav1.GetOptions{})
	if err != nil {
		if p.defaults == nil {
			return err
		}
		klog.Infof("ConfigMap not found: %v, will create one with default params", err)
		config, err = configMaps.Create(ctx, &v1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Name: p.configMap, Namespace: p.namespace}, Data: p.defaults,
		}, metav1.CreateOptions{})
		if err != nil {
			return err
		}
		klog.Infof("Created ConfigMap %v in namespace %v", p.configMap, p.namespace)
	}
	if config.ResourceVersion == p.version {
		return nil
	}
	text, isLinear := config.Data["linear"]
	if len(config.Data) != 1 || !isLinear {
		return fmt.Errorf("not a supported control mode: the ConfigMap has %v; this substitute knows only linear", config.Data)
	}
	klog.Infof("ConfigMap version change (old: %s new: %s) - rebuilding params", p.version, config.ResourceVersion)
	params, err := parseLinear(text)
	if err != nil {
		return fmt.Errorf("error parsing linear params: %w", err)
	}
	p.params, p.version = params, config.ResourceVersion
	return nil
}

// scale reads the scale subresource, and writes it if the replicas differ.
func (p *proportional) scale(ctx context.Context, kind, name string, size clusterSize) error {
	client, root := p.client.AppsV1().RESTClient(), "/apis/apps/v1"
	if kind == "replicationcontroller" {
		root = "/api/v1"
	}
	on := func(request *rest.Request) *rest.Request {
		return request.AbsPath(root).Namespace(p.namespace).Resource(kind + "s").Name(name).SubResource("scale")
	}
	current := &autoscaling.Scale{}
	if err := on(client.Get()).Do(ctx).Into(current); err != nil {
		return err
	}
	expected := p.params.expected(size)
	if current.Spec.Replicas == expected {
		return nil
	}
	klog.Infof("Cluster status: SchedulableNodes[%v], TotalNodes[%v], SchedulableCores[%v], TotalCores[%v]",
		size.schedulableNodes, size.nodes, size.schedulableCores, size.cores)
	klog.Infof("Replicas are not as expected : updating %s/%s from %d to %d", kind, name, current.Spec.Replicas, expected)
	current.Spec.Replicas = expected
	return on(client.Put()).Body(current).Do(ctx).Error()
}
