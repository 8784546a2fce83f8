package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/yaml"
)

// exporterConfig has those of the public program's keys that this substitute follows. Any other key is an error.
type exporterConfig struct {
	LogLevel           string  `json:"logLevel"`
	LogFormat          string  `json:"logFormat"`
	MaxEventAgeSeconds int64   `json:"maxEventAgeSeconds"`
	Namespace          string  `json:"namespace"`
	KubeQPS            float32 `json:"kubeQPS"`
	KubeBurst          int     `json:"kubeBurst"`
	MetricsNamePrefix  string  `json:"metricsNamePrefix"`
	// OmitLookup has to be true: this substitute does not ask for the objects that Events are about.
	OmitLookup bool `json:"omitLookup"`
	Route      struct {
		Routes []struct {
			Match []struct {
				Receiver string `json:"receiver"`
			} `json:"match"`
		} `json:"routes"`
	} `json:"route"`
	Receivers []struct {
		Name    string `json:"name"`
		Webhook struct {
			Endpoint string            `json:"endpoint"`
			Headers  map[string]string `json:"headers"`
		} `json:"webhook"`
	} `json:"receivers"`
}

func readConfig(path string) (exporterConfig, error) {
	var config exporterConfig
	text, err := os.ReadFile(path)
	if err != nil {
		return config, err
	}
	if err := yaml.UnmarshalStrict([]byte(os.ExpandEnv(string(text))), &config); err != nil {
		return config, fmt.Errorf("cannot parse config to YAML: %w", err)
	}
	if !config.OmitLookup {
		return config, errors.New("omitLookup: this substitute supports only true")
	}
	if config.MaxEventAgeSeconds == 0 {
		config.MaxEventAgeSeconds = 5
	}
	return config, nil
}

// webhooks has the receivers to which the routes lead.
func (c exporterConfig) webhooks() ([]webhook, error) {
	var hooks []webhook
	for _, route := range c.Route.Routes {
		for _, rule := range route.Match {
			found := false
			for _, receiver := range c.Receivers {
				if receiver.Name == rule.Receiver && receiver.Webhook.Endpoint != "" {
					hooks = append(hooks, webhook{receiver.Name, receiver.Webhook.Endpoint, receiver.Webhook.Headers, make(chan []byte)})
					found = true
				}
			}
			if !found {
				return nil, fmt.Errorf("no webhook receiver %q", rule.Receiver)
			}
		}
	}
	return hooks, nil
}

// webhook sends one Event per request, one after another, and never a second time.
type webhook struct {
	name, endpoint string
	headers        map[string]string
	events         chan []byte
}

func (w webhook) run(log *slog.Logger) {
	client := &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment}}
	for body := range w.events {
		if err := w.send(client, body); err != nil {
			log.Debug("Cannot send event", "sink", w.name, "error", err.Error())
		}
	}
}

func (w webhook) send(client *http.Client, body []byte) error {
	request, err := http.NewRequest(http.MethodPost, w.endpoint, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	for name, value := range w.headers {
		request.Header.Set(name, value)
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode/100 != 2 {
		err = fmt.Errorf("not successful (2xx) response: %s", answer)
	}
	return err
}

// enhanced is an Event as the public program sends it: without managed fields, with two keys more.
func enhanced(event *v1.Event) ([]byte, error) {
	copied := event.DeepCopy()
	copied.ManagedFields = nil
	text, err := json.Marshal(copied)
	if err != nil {
		return nil, err
	}
	fields := map[string]any{}
	if err := json.Unmarshal(text, &fields); err != nil {
		return nil, err
	}
	fields["clusterName"] = ""
	if involved, ok := fields["involvedObject"].(map[string]any); ok {
		involved["deleted"] = false
	}
	return json.Marshal(fields)
}

// eventExporter is kubernetes-event-exporter with a webhook receiver: it watches the Events of the cluster and sends
// each new one that is young enough. It does not send an Event again when its count changes.
func eventExporter(args []string) error {
	flags := flag.NewFlagSet("kubernetes-event-exporter", flag.ExitOnError)
	path := flags.String("conf", "config.yaml", "the configuration file")
	address := flags.String("metrics-address", ":2112", "where it serves its health")
	flags.String("kubeconfig", "", "accepted; this substitute uses only its ServiceAccount")
	flags.String("metrics-tls-config", "", "accepted; this substitute serves no TLS")
	if err := flags.Parse(args); err != nil {
		return err
	}
	config, err := readConfig(*path)
	if err != nil {
		return err
	}
	log, err := logger(config.LogLevel)
	if err != nil {
		return err
	}
	hooks, err := config.webhooks()
	if err != nil {
		return err
	}
	client, err := connect("kubernetes-event-exporter", func(c *rest.Config) { c.QPS, c.Burst = config.KubeQPS, config.KubeBurst })
	if err != nil {
		return err
	}
	for _, hook := range hooks {
		log.Info("Registering sink", "name", hook.name, "type", "*sinks.Webhook")
		go hook.run(log)
	}
	go serveHealth(*address, log)

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	maxAge := time.Duration(config.MaxEventAgeSeconds) * time.Second
	startedAt := time.Now()
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(config.Namespace))
	informer := factory.Core().V1().Events().Informer()
	onAdd := func(object any) {
		event, ok := object.(*v1.Event)
		if !ok {
			return
		}
		at := event.LastTimestamp.Time
		if at.IsZero() {
			at = event.EventTime.Time
		}
		if age := time.Since(at); age > maxAge {
			if at.After(startedAt) {
				log.Warn("Event discarded as being older then maxEventAgeSeconds", "event age", age.String(),
					"event namespace", event.Namespace, "event name", event.Name)
			}
			return
		}
		body, err := enhanced(event)
		if err != nil {
			log.Error("cannot encode an Event", "error", err.Error())
			return
		}
		for _, hook := range hooks {
			go func() { hook.events <- body }()
		}
	}
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: onAdd}); err != nil {
		return err
	}
	log.Info("leader election disabled")
	informer.Run(ctx.Done())
	log.Info("Received signal to exit. Stopping.")
	return nil
}

func serveHealth(address string, log *slog.Logger) {
	mux := http.NewServeMux()
	for _, path := range []string{"/-/healthy", "/-/ready"} {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "OK") })
	}
	log.Error("cannot serve", "error", fmt.Sprint(http.ListenAndServe(address, mux)))
}

// logger writes lines of JSON with the keys of zerolog, which the public program logs with.
func logger(level string) (*slog.Logger, error) {
	at := slog.LevelInfo
	if level != "" {
		if err := at.UnmarshalText([]byte(level)); err != nil {
			return nil, fmt.Errorf("logLevel: %w", err)
		}
	}
	rename := func(_ []string, attribute slog.Attr) slog.Attr {
		switch attribute.Key {
		case slog.MessageKey:
			attribute.Key = "message"
		case slog.LevelKey:
			return slog.String("level", strings.ToLower(attribute.Value.String()))
		}
		return attribute
	}
	return slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: at, ReplaceAttr: rename})), nil
}
