// cluster-dns answers the cluster's names in CoreDNS's place, from watches on Services and Endpoints. It is
// made to fail as CoreDNS with kubeadm's Corefile fails: not ready before the first list, the last known state
// while the API server is away, five more seconds of answers after SIGTERM.
package main

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/miekg/dns"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// lameduck is how long answers go on after SIGTERM, as in kubeadm's Corefile ("health { lameduck 5s }").
const lameduck = 5 * time.Second

func main() {
	conf := flag.String("conf", "", "the Corefile; accepted and not read: its behaviour is built in")
	address := flag.String("listen", ":53", "where DNS is served")
	klog.InitFlags(nil)
	flag.Parse()
	klog.Infof("cluster-dns, a stand-in for CoreDNS; %q is not read", *conf)

	var ready, requests int64
	serveHTTP(&ready, &requests)

	config, err := rest.InClusterConfig()
	if err != nil {
		klog.Fatalf("no API server: %v", err)
	}
	config.UserAgent = "cluster-dns"
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		klog.Fatalf("cannot make a client: %v", err)
	}
	stop := make(chan struct{})
	factory := informers.NewSharedInformerFactory(client, 0)
	services, endpoints := factory.Core().V1().Services(), factory.Core().V1().Endpoints()
	names := &names{
		services:  services.Informer().GetIndexer(),
		endpoints: endpoints.Informer().GetIndexer(),
		listed: func() bool {
			return services.Informer().HasSynced() && endpoints.Informer().HasSynced()
		},
	}
	if err := services.Informer().AddIndexers(cache.Indexers{byClusterIP: indexByClusterIP}); err != nil {
		klog.Fatal(err)
	}
	synced := []cache.InformerSynced{services.Informer().HasSynced, endpoints.Informer().HasSynced}
	factory.Start(stop)
	go func() {
		// CoreDNS too waits for its first list, and serves without it after five seconds.
		if cache.WaitForCacheSync(stop, synced...) {
			atomic.StoreInt64(&ready, 1)
			klog.Info("the Services are listed: ready")
		}
	}()
	waitAtMost(5*time.Second, synced)

	handler := dns.HandlerFunc(func(writer dns.ResponseWriter, request *dns.Msg) {
		atomic.AddInt64(&requests, 1)
		reply := names.answer(request)
		if writer.RemoteAddr().Network() == "udp" {
			truncate(reply, udpSize(request))
		}
		_ = writer.WriteMsg(reply)
	})
	for _, network := range []string{"udp", "tcp"} {
		server := &dns.Server{Addr: *address, Net: network, Handler: handler, ReusePort: true}
		go func() { klog.Fatal(server.ListenAndServe()) }()
	}

	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	<-signals
	atomic.StoreInt64(&ready, 0)
	klog.Infof("asked to end: %s more of answers", lameduck)
	time.Sleep(lameduck)
}

func udpSize(request *dns.Msg) int {
	if option := request.IsEdns0(); option != nil && option.UDPSize() > dns.MinMsgSize {
		return int(option.UDPSize())
	}
	return dns.MinMsgSize
}

// truncate drops answers until the reply fits, and says so: the client asks again over TCP.
func truncate(reply *dns.Msg, size int) {
	for reply.Len() > size && len(reply.Answer) > 0 {
		reply.Answer = reply.Answer[:len(reply.Answer)-1]
		reply.Truncated = true
	}
}

func waitAtMost(limit time.Duration, synced []cache.InformerSynced) {
	done := make(chan struct{})
	timer := time.AfterFunc(limit, func() { close(done) })
	if cache.WaitForCacheSync(done, synced...) {
		timer.Stop()
	}
}

func serveHTTP(ready, requests *int64) {
	health := http.NewServeMux()
	health.HandleFunc("/health", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "OK") })
	readiness := http.NewServeMux()
	readiness.HandleFunc("/ready", func(w http.ResponseWriter, _ *http.Request) {
		if atomic.LoadInt64(ready) == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		fmt.Fprint(w, "OK")
	})
	metrics := http.NewServeMux()
	metrics.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "# TYPE coredns_dns_requests_total counter\ncoredns_dns_requests_total %d\n",
			atomic.LoadInt64(requests))
	})
	for address, handler := range map[string]http.Handler{":8080": health, ":8181": readiness, ":9153": metrics} {
		server := &http.Server{Addr: address, Handler: handler}
		go func() { klog.Fatal(server.ListenAndServe()) }()
	}
}
