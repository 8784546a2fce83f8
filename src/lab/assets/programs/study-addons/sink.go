package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"k8s.io/klog/v2"
)

// retryInterval is how long after a failure the sink is tried again.
const retryInterval = 2 * time.Second

// sink is where logs, events and metrics are forwarded to, in the place of Stackdriver.
type sink struct {
	url     string
	client  *http.Client
	failing bool
}

// newSink makes the sink for one kind of data. Each delivery has a connection of its own: a kept one would hold on
// to a pod that is gone, and waiting for its time-out would look like a failure of the component.
func newSink(base, path string) (*sink, error) {
	if !strings.HasPrefix(base, "http://") && !strings.HasPrefix(base, "https://") {
		return nil, fmt.Errorf("--sink=URL is needed, not %q", base)
	}
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	return &sink{url: strings.TrimSuffix(base, "/") + path, client: client}, nil
}

// post tries once. Only the first of several failures is logged: fluentd reads its own log.
func (s *sink) post(ctx context.Context, body []byte) error {
	err := s.send(ctx, body)
	if err != nil && !s.failing {
		klog.Errorf("cannot deliver, trying on: %v", err)
	}
	if err == nil && s.failing {
		klog.Info("delivering again")
	}
	s.failing = err != nil
	return err
}

func (s *sink) send(ctx context.Context, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-ndjson")
	response, err := s.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10))
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("%s answered %s", s.url, response.Status)
	}
	return nil
}

// deliver tries until it is done; false when the end has come first.
func (s *sink) deliver(ctx context.Context, body []byte) bool {
	for s.post(ctx, body) != nil {
		if !pause(ctx, retryInterval) {
			return false
		}
	}
	return true
}

// addLine writes one line of NDJSON.
func addLine(buffer *bytes.Buffer, line interface{}) {
	encoder := json.NewEncoder(buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(line); err != nil {
		klog.Errorf("cannot encode %v: %v", line, err)
	}
}
