// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"
)

// etcd and kube-apiserver, and a client with all rights.
type controlPlane struct {
	self   string // this program
	work   string
	ps     *processes
	ca     *authority
	url    string
	config *rest.Config
	client *kubernetes.Clientset

	etcdURL         string
	port            int // of kube-apiserver
	etcd, apiserver *process
}

func startControlPlane(ps *processes, self, work string) (*controlPlane, error) {
	cp := &controlPlane{self: self, work: work, ps: ps}
	var err error
	if cp.ca, err = newAuthority(filepath.Join(work, "pki")); err != nil {
		return nil, err
	}
	for _, id := range []struct{ file, name, group string }{
		{"apiserver", "kube-apiserver", ""},
		{"admin", "e2e", "system:masters"},
		{"scheduler", "system:kube-scheduler", ""},
		{"controllers", "system:kube-controller-manager", ""},
		{"numawise", "numawise:extender", ""},
		{"tokens", "service-account-tokens", ""},
	} {
		if err := cp.ca.issue(id.file, id.name, id.group); err != nil {
			return nil, err
		}
	}
	if cp.etcdURL, err = cp.startEtcd(); err != nil {
		return nil, err
	}
	// kube-apiserver cannot be given port 0, and a free port can be gone a moment later.
	for try := 0; try < 3; try++ {
		var port int
		if port, err = freePort(); err != nil {
			return nil, err
		}
		if err = cp.connect(port); err != nil {
			return nil, err
		}
		if err = cp.startAPIServer(); err == nil {
			return cp, nil
		}
	}
	return nil, err
}

func (cp *controlPlane) startEtcd() (string, error) {
	addressFile := filepath.Join(cp.work, "etcd.address")
	var err error
	cp.etcd, err = cp.ps.start("etcd", cp.logPath("etcd"), cp.self, "etcd",
		filepath.Join(cp.work, "etcd"), addressFile)
	if err != nil {
		return "", err
	}
	var address []byte
	err = cp.etcd.waitFor("address", 30*time.Second, func() bool {
		address, err = os.ReadFile(addressFile)
		return err == nil
	})
	return "http://" + string(address), err
}

// connect makes the client of an API server at this port.
func (cp *controlPlane) connect(port int) error {
	cp.port = port
	cp.url = "https://127.0.0.1:" + strconv.Itoa(port)
	cp.config = &rest.Config{
		Host: cp.url, QPS: 5000, Burst: 5000,
		ContentConfig: rest.ContentConfig{ContentType: runtime.ContentTypeProtobuf},
		TLSClientConfig: rest.TLSClientConfig{CAFile: cp.ca.path("ca", "crt"),
			CertFile: cp.ca.path("admin", "crt"), KeyFile: cp.ca.path("admin", "key")},
	}
	var err error
	cp.client, err = kubernetes.NewForConfig(cp.config)
	return err
}

// restartAPIServer kills it, waits a little, and starts it again where it was.
func (cp *controlPlane) restartAPIServer(away time.Duration) error {
	cp.apiserver.kill()
	time.Sleep(away)
	return cp.startAPIServer()
}

func (cp *controlPlane) startAPIServer() error {
	var err error
	cp.apiserver, err = cp.ps.start("kube-apiserver", cp.logPath("kube-apiserver"), cp.self, "kube-apiserver",
		"--etcd-servers="+cp.etcdURL,
		"--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--secure-port="+strconv.Itoa(cp.port),
		"--tls-cert-file="+cp.ca.path("apiserver", "crt"),
		"--tls-private-key-file="+cp.ca.path("apiserver", "key"),
		"--client-ca-file="+cp.ca.path("ca", "crt"),
		"--service-account-issuer=https://e2e.invalid",
		"--service-account-key-file="+cp.ca.path("tokens", "key"),
		"--service-account-signing-key-file="+cp.ca.path("tokens", "key"),
		"--service-cluster-ip-range=10.0.0.0/24",
		"--authorization-mode=RBAC",
		// Nobody runs who would take the not-ready taint away again.
		"--disable-admission-plugins=TaintNodesByCondition",
		"--endpoint-reconciler-type=none",
		"--enable-priority-and-fairness=false",
		"--max-requests-inflight=0", "--max-mutating-requests-inflight=0")
	if err != nil {
		return err
	}
	return cp.apiserver.waitFor("/readyz", 60*time.Second, func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		if cp.client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error() != nil {
			return false
		}
		_, err := cp.client.CoreV1().Namespaces().Get(ctx, "default", metav1.GetOptions{})
		return err == nil
	})
}

// A kube-scheduler to be run. The zero value of what is not said is kube-scheduler's default.
type schedulerSetup struct {
	name       string
	extender   string // URL prefix; "" = none
	names      bool   // nodeCacheCapable
	weight     int
	managed    []string // resources; the extender is asked only about pods that want one
	percentage int      // percentageOfNodesToScore
	verbosity  int
}

// Weight 200: one step of numawise's 0..10 is then worth 2000, and all of kube-scheduler's own
// score plugins together reach 1200.
const extenderWeight = 200

// observable is a kube-scheduler that asks about every node and says when an extender's prioritize
// failed, which it does at level 5.
func observable(name, extenderURL string, names bool) schedulerSetup {
	return schedulerSetup{name: name, extender: extenderURL, names: names, weight: extenderWeight,
		percentage: 100, verbosity: 5}
}

func (cp *controlPlane) startScheduler(setup schedulerSetup) (*process, error) {
	kubeconfig := filepath.Join(cp.work, "scheduler.kubeconfig")
	if err := writeFile(kubeconfig, []byte(cp.kubeconfig("scheduler"))); err != nil {
		return nil, err
	}
	config := filepath.Join(cp.work, setup.name+".yaml")
	if err := writeFile(config, []byte(setup.config(kubeconfig))); err != nil {
		return nil, err
	}
	return cp.ps.start(setup.name, cp.logPath(setup.name), cp.self, "kube-scheduler",
		"--config="+config, "--secure-port=0", fmt.Sprintf("--v=%d", setup.verbosity))
}

func (setup *schedulerSetup) config(kubeconfig string) string {
	text := fmt.Sprintf(`apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
clientConnection:
  kubeconfig: %s
  qps: 5000
  burst: 5000
leaderElection:
  leaderElect: false
percentageOfNodesToScore: %d
`, kubeconfig, setup.percentage)
	if setup.extender == "" {
		return text
	}
	text += fmt.Sprintf(`extenders:
- urlPrefix: %s
  filterVerb: filter
  prioritizeVerb: prioritize
  weight: %d
  nodeCacheCapable: %t
  httpTimeout: 2s
`, setup.extender, setup.weight, setup.names)
	if len(setup.managed) > 0 {
		text += "  managedResources:\n"
	}
	for _, resource := range setup.managed {
		text += fmt.Sprintf("  - {name: %s, ignoredByScheduler: false}\n", resource)
	}
	return text
}

// A kube-scheduler with a configuration that is shipped.
type shippedSetup struct {
	name     string
	file     string
	extender string                        // URL prefix; "" = none
	edit     func(extender map[string]any) // after that; may be nil
}

// startShipped starts a kube-scheduler with a file of deploy/kube-scheduler. Changed are addresses,
// paths, and what each kube-scheduler has of its own: credentials, and that it is alone.
func (cp *controlPlane) startShipped(setup shippedSetup) (*process, error) {
	text, err := os.ReadFile(setup.file)
	if err != nil {
		return nil, err
	}
	var config map[string]any
	if err := yaml.UnmarshalStrict(text, &config); err != nil {
		return nil, fmt.Errorf("%s: %w", setup.file, err)
	}
	kubeconfig := filepath.Join(cp.work, "scheduler.kubeconfig")
	config["clientConnection"] = map[string]any{"kubeconfig": kubeconfig, "qps": 5000, "burst": 5000}
	config["leaderElection"] = map[string]any{"leaderElect": false}
	extender := config["extenders"].([]any)[0].(map[string]any)
	extender["urlPrefix"] = setup.extender
	if tls, ok := extender["tlsConfig"].(map[string]any); ok {
		tls["caFile"] = cp.ca.path("ca", "crt")
		tls["certFile"], tls["keyFile"] = cp.ca.path("scheduler", "crt"), cp.ca.path("scheduler", "key")
	}
	if setup.extender == "" {
		delete(config, "extenders")
	}
	if setup.edit != nil {
		setup.edit(extender)
	}
	if text, err = yaml.Marshal(config); err != nil {
		return nil, err
	}
	file := filepath.Join(cp.work, strings.ReplaceAll(setup.name, " ", "-")+".yaml")
	err = errors.Join(writeFile(kubeconfig, []byte(cp.kubeconfig("scheduler"))), writeFile(file, text))
	if err != nil {
		return nil, err
	}
	return cp.ps.start(setup.name, cp.logPath(setup.name), cp.self, "kube-scheduler", "--config="+file, "--secure-port=0", "--v=2")
}

// kubeconfig is that of a user for whom a certificate was issued.
func (cp *controlPlane) kubeconfig(user string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Config
clusters:
- name: e2e
  cluster: {server: "%s", certificate-authority: "%s"}
users:
- name: %[3]s
  user: {client-certificate: "%[4]s", client-key: "%[5]s"}
contexts:
- name: e2e
  context: {cluster: e2e, user: %[3]s}
current-context: e2e
`, cp.url, cp.ca.path("ca", "crt"), user, cp.ca.path(user, "crt"), cp.ca.path(user, "key"))
}

func (cp *controlPlane) logPath(name string) string {
	return filepath.Join(cp.work, strings.ReplaceAll(name, " ", "-")+".log")
}

func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}
