package main

import (
	"bytes"
	"context"
	"flag"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

const (
	// eventQueue bounds what waits for a sink that is away; the oldest are dropped first.
	eventQueue = 10000
	eventBatch = 500
)

// forwarded is what the sink gets of an event.
type forwarded struct {
	Namespace       string             `json:"namespace"`
	Name            string             `json:"name"`
	UID             types.UID          `json:"uid"`
	Reason          string             `json:"reason"`
	Message         string             `json:"message"`
	InvolvedObject  v1.ObjectReference `json:"involvedObject"`
	LastTimestamp   time.Time          `json:"lastTimestamp"`
	ResourceVersion string             `json:"resourceVersion"`
}

// happened is the latest of an event's times: newer clients fill in another one than older ones.
func happened(event *v1.Event) time.Time {
	latest := event.CreationTimestamp.Time
	for _, each := range []time.Time{event.LastTimestamp.Time, event.EventTime.Time} {
		if each.After(latest) {
			latest = each
		}
	}
	return latest
}

// eventStore takes what a reflector lists and watches, and keeps of it only which versions are forwarded and what
// is still to be. The embedded Store is nil: a reflector calls no other method than those below.
type eventStore struct {
	cache.Store
	maxAge  time.Duration
	arrived chan struct{}

	mutex    sync.Mutex
	versions map[types.UID]string
	queue    []forwarded
	dropped  int
}

func (s *eventStore) take(event *v1.Event) {
	if s.versions[event.UID] == event.ResourceVersion {
		return
	}
	s.versions[event.UID] = event.ResourceVersion
	if len(s.queue) >= eventQueue {
		s.queue = s.queue[1:]
		s.dropped++
	}
	s.queue = append(s.queue, forwarded{
		event.Namespace, event.Name, event.UID, event.Reason, event.Message, event.InvolvedObject,
		happened(event).UTC(), event.ResourceVersion,
	})
	select {
	case s.arrived <- struct{}{}:
	default:
	}
}

func (s *eventStore) Add(object interface{}) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if event, ok := object.(*v1.Event); ok {
		s.take(event)
	}
	return nil
}

func (s *eventStore) Update(object interface{}) error { return s.Add(object) }

func (s *eventStore) Delete(object interface{}) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if event, ok := object.(*v1.Event); ok {
		delete(s.versions, event.UID)
	}
	return nil
}

// Replace gets what was listed: at the start and after a watch that could not go on. What happened lately is
// forwarded, late; what is older counts as known.
func (s *eventStore) Replace(objects []interface{}, _ string) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	before := s.versions
	s.versions = make(map[types.UID]string, len(objects))
	for _, object := range objects {
		event, ok := object.(*v1.Event)
		if !ok {
			continue
		}
		if version, known := before[event.UID]; known {
			s.versions[event.UID] = version
		}
		if time.Since(happened(event)) < s.maxAge {
			s.take(event)
		} else {
			s.versions[event.UID] = event.ResourceVersion
		}
	}
	return nil
}

func (s *eventStore) Resync() error { return nil }

// next takes the oldest ones out of the queue.
func (s *eventStore) next() []forwarded {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.dropped > 0 {
		klog.Errorf("%d events were dropped while the sink was away", s.dropped)
		s.dropped = 0
	}
	count := len(s.queue)
	if count > eventBatch {
		count = eventBatch
	}
	batch := s.queue[:count:count]
	s.queue = s.queue[count:]
	return batch
}

func eventExporter(flags *flag.FlagSet) func(ctx context.Context) error {
	url := flags.String("sink", "", "where events are forwarded to: URL/events")
	maxAge := flags.Duration("forward-listed", 0,
		"forward events that are listed, not watched, when they are younger than this; 0: none, as upstream")
	return func(ctx context.Context) error {
		target, err := newSink(*url, "/events")
		if err != nil {
			return err
		}
		_, client, err := connect("event-exporter")
		if err != nil {
			return err
		}
		store := &eventStore{maxAge: *maxAge, arrived: make(chan struct{}, 1), versions: map[types.UID]string{}}
		source := cache.NewListWatchFromClient(client.CoreV1().RESTClient(), "events", v1.NamespaceAll,
			fields.Everything())
		go cache.NewReflector(source, &v1.Event{}, store, 0).Run(ctx.Done())
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-store.arrived:
			}
			// Events come in bursts; a moment's wait makes one request of one.
			pause(ctx, 100*time.Millisecond)
			for batch := store.next(); len(batch) > 0; batch = store.next() {
				var body bytes.Buffer
				for _, each := range batch {
					addLine(&body, each)
				}
				if !target.deliver(ctx, body.Bytes()) {
					return nil
				}
			}
		}
	}
}
