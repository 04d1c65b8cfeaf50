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
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const patience = time.Minute

// As much of an API server as the agent asks for: its Node, no pods, and the report that it writes.
type apiServer struct {
	gpus   atomic.Int64 // that the Node counts
	mu     sync.Mutex
	report []byte
	writes int
}

func (s *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	switch {
	case r.URL.Path == "/api/v1/nodes/n1":
		fmt.Fprintf(w, `{"kind":"Node","apiVersion":"v1","metadata":{"name":"n1","uid":"u1"},"status":{"capacity":{"cpu":"96","%s":"%d"}}}`, gpu, s.gpus.Load())
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
	a.gpus.Store(8)
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

// until what is published is so.
func (a *running) until(t *testing.T, what string, want facts) {
	t.Helper()
	text, _ := json.Marshal(want)
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if have, _ := json.Marshal(a.published(t).facts(t)); string(have) == string(text) {
			return
		}
	}
	t.Errorf("%s: %s", what, a.words())
	compare(t, a.published(t).facts(t), want)
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
	nothing := expected(said(t, (&managers{}).service()))
	nothing.Placements, nothing.Devices, nothing.FreeCPUs, nothing.Reserved = nil, nil, [zones]string{}, ""
	for z := range zones {
		nothing.Resources[z]["cpu"] = resource{"cpu", "24", "24", "24"}
	}

	m := fourZones()
	m.add("ml", "a", held{cpus: []int64{5}, devices: devices(gpu, []int64{1}, "GPU-1-a")})
	first := serve(t, socket, m.service())
	s.until(t, "what is held", expected(said(t, m.service())))

	first.Stop()
	_ = os.Remove(socket)
	s.put(t, "config.yaml", config)
	s.until(t, "without a kubelet nothing is known of what is held", nothing)

	m = fourZones()
	m.add("ml", "b", held{cpus: span(25, 47), memory: block("memory", 1<<30, 1)})
	second := serve(t, socket, m.service())
	s.until(t, "the kubelet is back", expected(said(t, m.service())))

	second.Stop()
	_ = os.Remove(socket)
	third := serve(t, socket, &altered{inner: m.service(), before: func(context.Context, string) error {
		return status.Error(codes.Unavailable, "not yet")
	}})
	s.until(t, "it refuses", nothing)

	third.Stop()
	_ = os.Remove(socket)
	m = fourZones()
	serve(t, socket, &altered{inner: m.service(), before: func(context.Context, string) error {
		time.Sleep(500 * time.Millisecond)
		return nil
	}})
	s.until(t, "it is slow", expected(said(t, m.service())))

	s.end(t)
}

// A device that is sick stands nowhere but in the capacity of the Node, which counts it; a device that has gone stands nowhere.
func TestSickDevices(t *testing.T) {
	t.Parallel()
	dir, socket := kubeletDir(t)
	m := fourZones()
	first := serve(t, socket, m.service())
	s := start(t, dir)
	s.until(t, "all are well", expected(said(t, m.service())))
	first.Stop()
	_ = os.Remove(socket)

	m = fourZones()
	m.devices[1] = devices(gpu, []int64{1}, "GPU-1-a")[0] // without GPU-1-b
	serve(t, socket, m.service())
	sick := expected(said(t, m.service()))
	sick.Devices[gpu] = slices.Insert(sick.Devices[gpu], 3, device{"GPU-1-b", []int64{1}, false})
	sick.Resources[1][gpu] = resource{gpu, "2", "1", "1"}
	s.until(t, "one is sick", sick)
	s.gpus.Store(7)
	s.put(t, "config.yaml", config)
	s.until(t, "it has gone", expected(said(t, m.service())))
	s.end(t)
}
