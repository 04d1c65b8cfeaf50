// SPDX-License-Identifier: Apache-2.0

package podresources

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/cert"
	"k8s.io/component-base/configz"
	"k8s.io/kubelet/config/v1beta1"
)

const token = "the-token-of-the-agents-pod"

// A kubelet's server: its own handler of /configz behind a certificate that it signed for the name of its node, as kubelets do.
type settings struct {
	*httptest.Server
	address string
	asked   atomic.Int64 // requests that got through TLS
}

func configzServer(t *testing.T, dir, node string, handler http.Handler) *settings {
	t.Helper()
	s := &settings{}
	certificate, key, err := cert.GenerateSelfSignedCertKey(node, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "pki"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "pki", "kubelet.crt"), certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		if r.Header.Get("Authorization") != "Bearer "+token {
			http.Error(w, "Unauthorized", http.StatusUnauthorized)
			return
		}
		handler.ServeHTTP(w, r)
	}))
	s.Config.ErrorLog = nil
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	s.StartTLS()
	t.Cleanup(s.Close)
	s.address = s.Listener.Addr().String()
	return s
}

// The kubelet registers itself once in a process.
var ownAnswer = func() http.Handler {
	mux := http.NewServeMux()
	c, err := configz.New("kubeletconfig")
	if err != nil {
		panic(err)
	}
	k := &v1beta1.KubeletConfiguration{TypeMeta: metav1.TypeMeta{Kind: "KubeletConfiguration", APIVersion: "kubelet.config.k8s.io/v1beta1"},
		TopologyManagerPolicy: "single-numa-node", TopologyManagerScope: "pod", CPUManagerPolicy: "static",
		TopologyManagerPolicyOptions: map[string]string{"prefer-closest-numa-nodes": "true"},
		CPUManagerPolicyOptions:      map[string]string{"full-pcpus-only": "true"}, MemoryManagerPolicy: "Static",
		ReservedSystemCPUs: "0,24-25", SystemReserved: map[string]string{"cpu": "3"}}
	if err := c.Set(k); err != nil {
		panic(err)
	}
	configz.InstallHandler(mux)
	return mux
}()

// writeKubeconfig of that token, which a test server for everything else does not ask for.
func writeKubeconfig(t *testing.T, dir, server string) string {
	t.Helper()
	kubeconfig := filepath.Join(dir, "kubeconfig")
	text := "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{name: c, cluster: {server: '" + server + "'}}]\n" +
		"users: [{name: u, user: {tokenFile: token}}]\ncontexts: [{name: c, context: {cluster: c, user: u}}]\n"
	for name, content := range map[string]string{kubeconfig: text, filepath.Join(dir, "token"): token + "\n"} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return kubeconfig
}

// asks: what the agent publishes of settings and says, with a kubeconfig of that token.
func asks(t *testing.T, dir string, more ...string) (map[string]string, string) {
	t.Helper()
	r, words := once(t, dir, append([]string{"--podresources", "off", "--kubeconfig", writeKubeconfig(t, dir, "http://127.0.0.1:1")}, more...)...)
	return settingsOf(r), words
}

func settingsOf(r *report) map[string]string {
	got := map[string]string{}
	for _, a := range r.Attributes {
		if strings.HasPrefix(a.Name, "topologyManager") || strings.Contains(a.Name, "-manager-policy") || strings.HasSuffix(a.Name, "reserved-cpus") {
			got[strings.TrimPrefix(a.Name, "orchestration.gokore.io/")] = a.Value
		}
	}
	return got
}

var fromFile = map[string]string{"topologyManagerPolicy": "restricted", "topologyManagerScope": "container", "topology-manager-policy-options": "",
	"cpu-manager-policy": "static", "cpu-manager-policy-options": "", "memory-manager-policy": "Static"}

func sameSettings(t *testing.T, got, want map[string]string, words string) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("published %v\nexpected  %v\n%s", got, want, words)
	}
}

func TestWhatTheKubeletRunsWith(t *testing.T) {
	t.Parallel()
	dir, _ := kubeletDir(t)
	s := configzServer(t, dir, "n1", ownAnswer)
	got, words := asks(t, dir, "--kubelet-server", s.address)
	sameSettings(t, got, map[string]string{"topologyManagerPolicy": "single-numa-node", "topologyManagerScope": "pod",
		"topologyManagerOptionPreferClosestNumaNodes": "true",
		"topology-manager-policy-options":             "prefer-closest-numa-nodes=true", "cpu-manager-policy": "static",
		"cpu-manager-policy-options": "full-pcpus-only=true", "memory-manager-policy": "Static", "reserved-cpus": "0,24-25"}, words)
	if strings.Contains(words, "the kubelet at") || s.asked.Load() != 1 {
		t.Fatalf("asked %d times: %s", s.asked.Load(), words)
	}
}

// The cluster's CA may have signed it instead.
func TestTheClusterSignedIt(t *testing.T) {
	t.Parallel()
	dir, _ := kubeletDir(t)
	s := configzServer(t, dir, "n1", ownAnswer)
	ca := filepath.Join(dir, "ca.crt")
	if err := os.Rename(filepath.Join(dir, "pki", "kubelet.crt"), ca); err != nil {
		t.Fatal(err)
	}
	got, words := asks(t, dir, "--kubelet-server", s.address, "--kubelet-ca", ca)
	if got["topologyManagerPolicy"] != "single-numa-node" {
		t.Fatalf("%v: %s", got, words)
	}
}

// Where it does not tell, its file does, and the agent says why; nobody who is not believed sees a token.
func TestTheKubeletDoesNotTell(t *testing.T) {
	t.Parallel()
	fails := func(status int, text string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, text, status) })
	}
	says := func(text string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) })
	}
	for name, c := range map[string]struct {
		node    string
		handler http.Handler
		strange bool // its certificate is not the one in pki
		why     string
		seen    int64
	}{
		"it refuses": {node: "n1", handler: fails(403, "Forbidden (user=u, verb=get, resource=nodes, subresource(s)=[configz proxy])"), seen: 1,
			why: "/configz: HTTP 403: Forbidden (user=u, verb=get, resource=nodes, subresource(s)=[configz proxy])"},
		"it has none":       {node: "n1", handler: fails(404, "404 page not found"), seen: 1, why: "/configz: HTTP 404: 404 page not found"},
		"it sends us away":  {node: "n1", handler: http.RedirectHandler("https://elsewhere.invalid/", 302), seen: 1, why: "/configz: HTTP 302: "},
		"no JSON":           {node: "n1", handler: says("<html>"), seen: 1, why: "/configz: "},
		"another component": {node: "n1", handler: says(`{"kubeproxyconfig":{}}`), seen: 1, why: "/configz: kubeletconfig is missing"},
		"a broken field":    {node: "n1", handler: says(`{"kubeletconfig":{"reservedSystemCPUs":"7-"}}`), seen: 1, why: "/configz: kubeletconfig.reservedSystemCPUs: "},
		"it is too much":    {node: "n1", handler: says(strings.Repeat(" ", 17<<20)), seen: 1, why: "the answer is larger than 16 MiB"},
		"it is slow": {node: "n1", seen: 1, why: "no whole answer within 5 s", handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			ctx, done := context.WithTimeout(r.Context(), 10*time.Second)
			defer done()
			<-ctx.Done()
		})},
		"another node's":      {node: "n2", handler: ownAnswer, why: "its certificate is not believed"},
		"somebody in between": {node: "n1", handler: ownAnswer, strange: true, why: "its certificate is not believed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, _ := kubeletDir(t)
			s := configzServer(t, dir, c.node, c.handler)
			if c.strange {
				other, _, err := cert.GenerateSelfSignedCertKey(c.node, nil, nil)
				if block, _ := pem.Decode(other); err != nil || block == nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, "pki", "kubelet.crt"), other, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			got, words := asks(t, dir, "--kubelet-server", s.address)
			sameSettings(t, got, fromFile, words)
			if !strings.Contains(words, "the kubelet at "+s.address+": ") || !strings.Contains(words, c.why) {
				t.Fatalf("it does not say %q: %s", c.why, words)
			}
			if s.asked.Load() != c.seen {
				t.Fatalf("%d requests came through", s.asked.Load())
			}
		})
	}
}

// What it said last stands while it is away or cannot tell, whatever its file says then; a refusal is another answer.
func TestSettingsStandWhileTheKubeletIsAway(t *testing.T) {
	t.Parallel()
	dir, _ := kubeletDir(t)
	if err := os.MkdirAll(filepath.Join(dir, "device-plugins"), 0o700); err != nil {
		t.Fatal(err)
	}
	var status atomic.Int64
	s := configzServer(t, dir, "n1", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if code := int(status.Load()); code != 0 {
			http.Error(w, "not now", code)
			return
		}
		ownAnswer.ServeHTTP(w, r)
	}))
	a := start(t, dir, "--podresources", "off", "--kubelet-server", s.address)
	cpus := 0
	// after what happened the agent sees that a container has another CPU; whose settings are then published?
	settings := func(what, policy string) {
		t.Helper()
		cpus++
		a.put(t, "memory_manager_state", `{"policyName":"Static","machineState":{},"checksum":1}`)
		a.put(t, "cpu_manager_state", fmt.Sprintf(`{"policyName":"static","defaultCpuSet":"0","entries":{"u":{"c":"%d"}},"checksum":1}`, cpus))
		for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			r := a.published(t)
			if f := r.facts(t); f.Placements["_/u"].Containers["c"].CPUs != fmt.Sprint(cpus) {
				continue
			}
			if got := settingsOf(r)["topologyManagerPolicy"]; got != policy {
				t.Fatalf("%s: %s: %s", what, got, a.words())
			}
			return
		}
		t.Fatalf("%s: nothing was published: %s", what, a.words())
	}
	settings("it tells", "single-numa-node")
	for _, code := range []int64{401, 500, 503} {
		status.Store(code)
		settings(fmt.Sprint(code), "single-numa-node")
	}
	status.Store(403)
	settings("it refuses", "restricted")
	status.Store(0)
	settings("it tells again", "single-numa-node")
	s.CloseClientConnections()
	s.Close()
	settings("it is away", "single-numa-node")
	a.end(t)
}

func TestNobodyListens(t *testing.T) {
	t.Parallel()
	dir, _ := kubeletDir(t)
	s := configzServer(t, dir, "n1", ownAnswer)
	s.Close()
	got, words := asks(t, dir, "--kubelet-server", s.address)
	sameSettings(t, got, fromFile, words)
	if _, port, _ := net.SplitHostPort(s.address); !strings.Contains(words, "cannot reach https://n1:"+port) {
		t.Fatal(words)
	}
}
