// SPDX-License-Identifier: Apache-2.0

package podresources

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const patience = time.Minute

// As much of an API server as the agent asks for: its Node, no pods, and the report that it writes.
type apiServer struct {
	mu     sync.Mutex
	report []byte
	writes int
}

func (s *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	switch {
	case r.URL.Path == "/api/v1/nodes/n1":
		fmt.Fprint(w, `{"kind":"Node","apiVersion":"v1","metadata":{"name":"n1","uid":"u1"}}`)
	case r.URL.Path == "/api/v1/pods" && r.URL.Query().Get("watch") != "":
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	case r.URL.Path == "/api/v1/pods":
		fmt.Fprint(w, `{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[]}`)
	case r.Method == http.MethodPatch:
		text, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		s.report = text
		s.writes++
		s.mu.Unlock()
		_, _ = w.Write(text)
	default:
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`)
	}
}

func (s *apiServer) last(t *testing.T) facts {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &report{}
	if s.writes > 0 {
		if err := json.Unmarshal(s.report, r); err != nil {
			t.Fatal(err)
		}
	}
	return r.facts(t)
}

// One agent lives through a kubelet that changes, restarts, is slow, refuses and comes back.
func TestRunningAgent(t *testing.T) {
	t.Parallel()
	dir, socket := kubeletDir(t)
	s := &apiServer{}
	server := httptest.NewServer(s)
	defer server.Close()
	kubeconfig := filepath.Join(dir, "kubeconfig")
	if err := os.WriteFile(kubeconfig, []byte("apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{name: c, cluster: {server: '"+server.URL+
		"'}}]\nusers: [{name: u, user: {}}]\ncontexts: [{name: c, context: {cluster: c, user: u}}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	a := agent(t, dir, "--kubeconfig", kubeconfig, "--listen", "off")
	a.Stdout, a.Stderr = log, log
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	// look: the agent follows its files, and the socket is none.
	look := func() {
		next := filepath.Join(dir, "next")
		if err := os.WriteFile(next, []byte(config), 0o600); err == nil {
			_ = os.Rename(next, filepath.Join(dir, "config.yaml"))
		}
	}
	until := func(what string, want facts) {
		t.Helper()
		text, _ := json.Marshal(want)
		for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			if have, _ := json.Marshal(s.last(t)); string(have) == string(text) {
				return
			}
		}
		words, _ := os.ReadFile(log.Name())
		t.Errorf("%s: %s", what, words)
		compare(t, s.last(t), want)
	}
	nothing := expected(said(t, (&managers{}).service()))
	nothing.Placements, nothing.Devices, nothing.FreeCPUs, nothing.Reserved = nil, nil, [zones]string{}, ""
	for z := range zones {
		nothing.Resources[z]["cpu"] = resource{"cpu", "24", "24", "24"}
	}

	m := fourZones()
	m.add("ml", "a", held{cpus: []int64{5}, devices: devices(gpu, []int64{1}, "GPU-1-a")})
	first := serve(t, socket, m.service())
	look()
	until("what is held", expected(said(t, m.service())))

	first.Stop()
	_ = os.Remove(socket)
	look()
	until("without a kubelet nothing is known of what is held", nothing)

	m = fourZones()
	m.add("ml", "b", held{cpus: span(25, 47), memory: block("memory", 1<<30, 1)})
	second := serve(t, socket, m.service())
	look()
	until("the kubelet is back", expected(said(t, m.service())))

	second.Stop()
	_ = os.Remove(socket)
	third := serve(t, socket, &altered{inner: m.service(), before: func(context.Context, string) error {
		return status.Error(codes.Unavailable, "not yet")
	}})
	look()
	until("it refuses", nothing)

	third.Stop()
	_ = os.Remove(socket)
	m = fourZones()
	serve(t, socket, &altered{inner: m.service(), before: func(context.Context, string) error {
		time.Sleep(500 * time.Millisecond)
		return nil
	}})
	look()
	until("it is slow", expected(said(t, m.service())))

	if err := a.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	words, _ := os.ReadFile(log.Name())
	if err := a.Wait(); err != nil || strings.Contains(string(words), "ERROR") {
		t.Fatalf("%v: %s", err, words)
	}
}
