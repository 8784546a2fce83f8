package main

import (
	"flag"
	"fmt"
	"math/rand"
	"net/http"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"k8s.io/klog/v2"
)

// requestCounts counts the requests that got 404, for /metrics.
type requestCounts struct {
	mutex    sync.Mutex
	byMethod map[string]int
}

func (c *requestCounts) add(method string) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.byMethod[method]++
}

// ServeHTTP has only the public server's counter, not its histogram of durations.
func (c *requestCounts) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	methods := make([]string, 0, len(c.byMethod))
	for method := range c.byMethod {
		methods = append(methods, method)
	}
	sort.Strings(methods)
	fmt.Fprintln(w, "# TYPE http_404_request_total counter")
	for _, method := range methods {
		fmt.Fprintf(w, "http_404_request_total{method=%q,rule=\"/\"} %d\n", method, c.byMethod[method])
	}
}

// notFoundServer is ingress-gce's 404-server-with-metrics: 404 for every path, but /healthz and /statuscode/NNN.
func notFoundServer(args []string) error {
	flags := flag.NewFlagSet("404-server-with-metrics", flag.ExitOnError)
	klog.InitFlags(flags)
	port := flags.Int("port", 8080, "where it serves")
	metricsPort := flags.Int("metricsPort", 8081, "where it serves /metrics")
	readTimeout := flags.Duration("read_timeout", 10*time.Second, "for a whole request")
	readHeaderTimeout := flags.Duration("read_header_timeout", 10*time.Second, "for the headers of a request")
	writeTimeout := flags.Duration("write_timeout", 10*time.Second, "for a response")
	idleTimeout := flags.Duration("idle_timeout", 10*time.Second, "of a kept-alive connection")
	flags.Duration("idle_log_timeout", time.Hour, "accepted; this substitute does not log that it is idle")
	logged := flags.Float64("log_percent_requests", 0.1, "fraction of the requests to log")
	isProd := flags.Bool("is_prod", true, "without /shutdown")
	if err := flags.Parse(args); err != nil {
		return err
	}
	counts := &requestCounts{byMethod: map[string]int{}}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		counts.add(r.Method)
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, "response 404 (backend NotFound), service rules for the path non-existent \n")
		if rand.Float64() < *logged {
			klog.Infof("response 404 (backend NotFound), service rules for [ %s ] non-existent \n", r.URL.Path)
		}
	})
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "alive \n") })
	mux.HandleFunc("/statuscode/", statusCode)
	if !*isProd {
		mux.HandleFunc("/shutdown", func(http.ResponseWriter, *http.Request) { os.Exit(0) })
	}
	metrics := http.NewServeMux()
	metrics.Handle("/metrics", counts)
	serve := func(port int, handler http.Handler) error {
		server := &http.Server{
			Addr: fmt.Sprintf(":%d", port), Handler: handler, ReadTimeout: *readTimeout,
			ReadHeaderTimeout: *readHeaderTimeout, WriteTimeout: *writeTimeout, IdleTimeout: *idleTimeout,
		}
		return server.ListenAndServe()
	}
	hostName, err := os.Hostname()
	if err != nil {
		return err
	}
	klog.Infof("Default 404 server is running on %s:%d\n", hostName, *port)
	go func() { klog.Fatal(serve(*metricsPort, metrics)) }()
	return serve(*port, mux)
}

func statusCode(w http.ResponseWriter, r *http.Request) {
	code, err := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/statuscode/"))
	if err != nil || code < 400 || code > 599 || http.StatusText(code) == "" {
		code = http.StatusNotFound
	}
	w.WriteHeader(code)
	fmt.Fprintf(w, "response %d \n", code)
}
