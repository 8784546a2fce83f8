package main

import (
	"context"
	"flag"
	"fmt"
	"net/http"
)

func defaultBackend(flags *flag.FlagSet) func(ctx context.Context) error {
	port := flags.Int("port", 8080, "where it is served")
	return func(ctx context.Context) error {
		mux := http.NewServeMux()
		mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") })
		mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, "default backend - 404")
		})
		server := &http.Server{Addr: fmt.Sprintf(":%d", *port), Handler: mux}
		go func() {
			<-ctx.Done()
			_ = server.Close()
		}()
		return server.ListenAndServe()
	}
}
