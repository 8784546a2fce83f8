package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/informers"
	listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/util/cert"
	"k8s.io/klog/v2"
	stats "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
	metrics "k8s.io/metrics/pkg/apis/metrics/v1beta1"
)

var (
	metricsVersion = metrics.SchemeGroupVersion.String()
	metricsRoot    = "/apis/" + metricsVersion
)

func metricsServer(flags *flag.FlagSet) func(ctx context.Context) error {
	port := flags.Int("secure-port", 4443, "where the API is served")
	resolution := flags.Duration("metric-resolution", 10*time.Second, "how often the kubelets are asked")
	flags.Bool("kubelet-insecure-tls", true, "accepted: a kubelet's certificate is never checked")
	return func(ctx context.Context) error {
		config, client, err := connect("metrics-server")
		if err != nil {
			return err
		}
		factory := informers.NewSharedInformerFactory(client, 0)
		nodes, pods := factory.Core().V1().Nodes(), factory.Core().V1().Pods()
		kubelets, err := newKubelets(config, nodes.Lister())
		if err != nil {
			return err
		}
		api := &metricsAPI{nodes: nodes.Lister(), pods: pods.Lister()}
		nodesListed, podsListed := nodes.Informer().HasSynced, pods.Informer().HasSynced
		factory.Start(ctx.Done())
		go every(ctx, *resolution, func() {
			for !nodesListed() || !podsListed() {
				if !pause(ctx, 100*time.Millisecond) {
					return
				}
			}
			api.receive(kubelets.scrape(ctx), *resolution)
		})

		// Made anew at each start, as metrics-server does: its APIService does not check it.
		certificate, key, err := cert.GenerateSelfSignedCertKey("metrics-server", nil, nil)
		if err != nil {
			return err
		}
		pair, err := tls.X509KeyPair(certificate, key)
		if err != nil {
			return err
		}
		server := &http.Server{
			Addr:      fmt.Sprintf(":%d", *port),
			Handler:   api,
			TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}},
		}
		go func() {
			<-ctx.Done()
			_ = server.Close()
		}()
		return server.ListenAndServeTLS("", "")
	}
}

// metricsAPI holds the last round's samples and serves them as metrics.k8s.io.
type metricsAPI struct {
	nodes listers.NodeLister
	pods  listers.PodLister

	mutex   sync.RWMutex
	ready   bool
	ofNodes map[string]metrics.NodeMetrics
	ofPods  map[string]metrics.PodMetrics
}

// receive replaces all samples: those of a kubelet that did not answer are gone, as with metrics-server.
func (m *metricsAPI) receive(summaries []*stats.Summary, resolution time.Duration) {
	ofNodes, ofPods := map[string]metrics.NodeMetrics{}, map[string]metrics.PodMetrics{}
	for _, summary := range summaries {
		if usage, at, ok := usageOf(summary.Node.CPU, summary.Node.Memory); ok {
			name := summary.Node.NodeName
			before := m.ofNodes[name]
			ofNodes[name] = metrics.NodeMetrics{
				TypeMeta:   metav1.TypeMeta{Kind: "NodeMetrics", APIVersion: metricsVersion},
				ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.Now()},
				Timestamp:  at,
				Window:     window(at, before.Timestamp, before.Window, resolution),
				Usage:      usage,
			}
		}
		for _, pod := range summary.Pods {
			key := pod.PodRef.Namespace + "/" + pod.PodRef.Name
			if measured, ok := podMetrics(pod); ok {
				before := m.ofPods[key]
				measured.Window = window(measured.Timestamp, before.Timestamp, before.Window, resolution)
				ofPods[key] = measured
			}
		}
	}
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.ofNodes, m.ofPods = ofNodes, ofPods
	if len(ofNodes) > 0 && !m.ready {
		klog.Infof("the first metrics of %d nodes are here: ready", len(ofNodes))
		m.ready = true
	}
}

// window is the time between the kubelet's last two samples, which it computed the usage from.
func window(at, before metav1.Time, last metav1.Duration, resolution time.Duration) metav1.Duration {
	switch {
	case before.IsZero():
		return metav1.Duration{Duration: resolution}
	case at.After(before.Time):
		return metav1.Duration{Duration: at.Sub(before.Time)}
	}
	return last
}

func usageOf(cpu *stats.CPUStats, memory *stats.MemoryStats) (v1.ResourceList, metav1.Time, bool) {
	if cpu == nil || cpu.UsageNanoCores == nil || memory == nil || memory.WorkingSetBytes == nil {
		return nil, metav1.Time{}, false
	}
	return v1.ResourceList{
		v1.ResourceCPU:    *resource.NewScaledQuantity(int64(*cpu.UsageNanoCores), resource.Nano),
		v1.ResourceMemory: *resource.NewQuantity(int64(*memory.WorkingSetBytes), resource.BinarySI),
	}, cpu.Time, true
}

// podMetrics needs every container's sample: a sum without one would be too small, and the HPA would act on it.
func podMetrics(pod stats.PodStats) (metrics.PodMetrics, bool) {
	measured := metrics.PodMetrics{
		TypeMeta: metav1.TypeMeta{Kind: "PodMetrics", APIVersion: metricsVersion},
		ObjectMeta: metav1.ObjectMeta{
			Name: pod.PodRef.Name, Namespace: pod.PodRef.Namespace, CreationTimestamp: metav1.Now(),
		},
	}
	for _, container := range pod.Containers {
		usage, at, ok := usageOf(container.CPU, container.Memory)
		if !ok {
			return measured, false
		}
		if measured.Timestamp.IsZero() || at.Before(&measured.Timestamp) {
			measured.Timestamp = at
		}
		measured.Containers = append(measured.Containers, metrics.ContainerMetrics{Name: container.Name, Usage: usage})
	}
	return measured, len(measured.Containers) > 0
}

// ServeHTTP is open to whoever reaches the pod; metrics-server itself asks the API server who may read.
func (m *metricsAPI) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	path := strings.TrimSuffix(request.URL.Path, "/")
	switch path {
	case "/healthz":
		fmt.Fprint(w, "ok")
		return
	case "/readyz":
		m.mutex.RLock()
		defer m.mutex.RUnlock()
		if !m.ready {
			http.Error(w, "no metrics yet", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprint(w, "ok")
		return
	}
	if request.Method != http.MethodGet && request.Method != http.MethodHead {
		refuse(w, apierrors.NewMethodNotSupported(schema.GroupResource{Group: metrics.GroupName}, request.Method))
		return
	}
	version := metav1.GroupVersionForDiscovery{GroupVersion: metricsVersion, Version: metrics.SchemeGroupVersion.Version}
	group := metav1.APIGroup{
		TypeMeta: metav1.TypeMeta{Kind: "APIGroup", APIVersion: "v1"}, Name: metrics.GroupName,
		Versions: []metav1.GroupVersionForDiscovery{version}, PreferredVersion: version,
	}
	switch path {
	case "/apis":
		answer(w, http.StatusOK, metav1.APIGroupList{
			TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}, Groups: []metav1.APIGroup{group},
		})
		return
	case "/apis/" + metrics.GroupName:
		answer(w, http.StatusOK, group)
		return
	case metricsRoot:
		answer(w, http.StatusOK, metav1.APIResourceList{
			TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: metricsVersion,
			APIResources: []metav1.APIResource{
				{Name: "nodes", Kind: "NodeMetrics", Verbs: metav1.Verbs{"get", "list"}},
				{Name: "pods", Kind: "PodMetrics", Namespaced: true, Verbs: metav1.Verbs{"get", "list"}},
			},
		})
		return
	}
	selector, err := labels.Parse(request.URL.Query().Get("labelSelector"))
	if err != nil {
		refuse(w, apierrors.NewBadRequest(err.Error()))
		return
	}
	m.serveMetrics(w, strings.Split(strings.TrimPrefix(path, metricsRoot+"/"), "/"), selector)
}

func (m *metricsAPI) serveMetrics(w http.ResponseWriter, parts []string, selector labels.Selector) {
	m.mutex.RLock()
	defer m.mutex.RUnlock()
	switch {
	case len(parts) == 1 && parts[0] == "nodes":
		nodes, err := m.nodes.List(selector)
		if err != nil {
			refuse(w, apierrors.NewInternalError(err))
			return
		}
		list := metrics.NodeMetricsList{
			TypeMeta: metav1.TypeMeta{Kind: "NodeMetricsList", APIVersion: metricsVersion}, Items: []metrics.NodeMetrics{},
		}
		for _, node := range nodes {
			if measured, ok := m.ofNodes[node.Name]; ok {
				list.Items = append(list.Items, measured)
			}
		}
		answer(w, http.StatusOK, list)
	case len(parts) == 2 && parts[0] == "nodes":
		measured, ok := m.ofNodes[parts[1]]
		one(w, "nodes", parts[1], measured, ok)
	case len(parts) == 1 && parts[0] == "pods":
		m.servePods(w, v1.NamespaceAll, selector)
	case len(parts) == 3 && parts[0] == "namespaces" && parts[2] == "pods":
		m.servePods(w, parts[1], selector)
	case len(parts) == 4 && parts[0] == "namespaces" && parts[2] == "pods":
		measured, ok := m.ofPods[parts[1]+"/"+parts[3]]
		one(w, "pods", parts[3], measured, ok)
	default:
		refuse(w, apierrors.NewNotFound(schema.GroupResource{Group: metrics.GroupName}, strings.Join(parts, "/")))
	}
}

// servePods goes by the API server's list of pods: only that knows their labels, and which still exist.
func (m *metricsAPI) servePods(w http.ResponseWriter, namespace string, selector labels.Selector) {
	pods, err := m.pods.Pods(namespace).List(selector)
	if err != nil {
		refuse(w, apierrors.NewInternalError(err))
		return
	}
	list := metrics.PodMetricsList{
		TypeMeta: metav1.TypeMeta{Kind: "PodMetricsList", APIVersion: metricsVersion}, Items: []metrics.PodMetrics{},
	}
	for _, pod := range pods {
		if measured, ok := m.ofPods[pod.Namespace+"/"+pod.Name]; ok {
			list.Items = append(list.Items, measured)
		}
	}
	answer(w, http.StatusOK, list)
}

func one(w http.ResponseWriter, kind, name string, object interface{}, found bool) {
	if !found {
		refuse(w, apierrors.NewNotFound(schema.GroupResource{Group: metrics.GroupName, Resource: kind}, name))
		return
	}
	answer(w, http.StatusOK, object)
}

func refuse(w http.ResponseWriter, err *apierrors.StatusError) {
	status := err.Status()
	status.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
	answer(w, int(status.Code), status)
}

func answer(w http.ResponseWriter, code int, object interface{}) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(object)
}
