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
	"os/exec"
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

// published last; empty: nothing was.
func (s *apiServer) published(t *testing.T) *report {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &report{}
	if s.writes > 0 {
		if err := json.Unmarshal(s.report, r); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// An agent beside a kubelet's directory and an API server.
type running struct {
	*apiServer
	*exec.Cmd
	dir, log string
}

func start(t *testing.T, dir string, more ...string) *running {
	t.Helper()
	a := &running{apiServer: &apiServer{}, dir: dir, log: filepath.Join(dir, "log")}
	server := httptest.NewServer(a.apiServer)
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	kubeconfig := writeKubeconfig(t, dir, server.URL)
	log, err := os.Create(a.log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	a.Cmd = agent(t, dir, append([]string{"--kubeconfig", kubeconfig, "--listen", "off"}, more...)...)
	a.Stdout, a.Stderr = log, log
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	return a
}

// put a file of the kubelet, as it does: the agent looks.
func (a *running) put(t *testing.T, name, text string) {
	t.Helper()
	next := filepath.Join(a.dir, "next")
	if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, filepath.Join(a.dir, name)); err != nil {
		t.Fatal(err)
	}
}

func (a *running) words() string {
	text, _ := os.ReadFile(a.log)
	return string(text)
}

func (a *running) end(t *testing.T) {
	t.Helper()
	if err := a.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := a.Wait(); err != nil || strings.Contains(a.words(), "ERROR") {
		t.Fatalf("%v: %s", err, a.words())
	}
}

// One agent lives through a kubelet that changes, restarts, is slow, refuses and comes back.
func TestRunningAgent(t *testing.T) {
	t.Parallel()
	dir, socket := kubeletDir(t)
	s := start(t, dir)
	until := func(what string, want facts) {
		t.Helper()
		text, _ := json.Marshal(want)
		for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			if have, _ := json.Marshal(s.published(t).facts(t)); string(have) == string(text) {
				return
			}
		}
		t.Errorf("%s: %s", what, s.words())
		compare(t, s.published(t).facts(t), want)
	}
	nothing := expected(said(t, (&managers{}).service()))
	nothing.Placements, nothing.Devices, nothing.FreeCPUs, nothing.Reserved = nil, nil, [zones]string{}, ""
	for z := range zones {
		nothing.Resources[z]["cpu"] = resource{"cpu", "24", "24", "24"}
	}

	m := fourZones()
	m.add("ml", "a", held{cpus: []int64{5}, devices: devices(gpu, []int64{1}, "GPU-1-a")})
	first := serve(t, socket, m.service())
	until("what is held", expected(said(t, m.service())))

	first.Stop()
	_ = os.Remove(socket)
	s.put(t, "config.yaml", config)
	until("without a kubelet nothing is known of what is held", nothing)

	m = fourZones()
	m.add("ml", "b", held{cpus: span(25, 47), memory: block("memory", 1<<30, 1)})
	second := serve(t, socket, m.service())
	until("the kubelet is back", expected(said(t, m.service())))

	second.Stop()
	_ = os.Remove(socket)
	third := serve(t, socket, &altered{inner: m.service(), before: func(context.Context, string) error {
		return status.Error(codes.Unavailable, "not yet")
	}})
	until("it refuses", nothing)

	third.Stop()
	_ = os.Remove(socket)
	m = fourZones()
	serve(t, socket, &altered{inner: m.service(), before: func(context.Context, string) error {
		time.Sleep(500 * time.Millisecond)
		return nil
	}})
	until("it is slow", expected(said(t, m.service())))

	s.end(t)
}
