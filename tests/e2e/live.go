// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/klog/v2"
	"sigs.k8s.io/yaml"
)

// The whole way: numawise over a real API server, with a real kube-scheduler and
// kube-controller-manager, and kubelets that decide by the kubelet's own code.
type live struct {
	self, binary, source, work string
	nodes, pods                int
	seed                       uint64

	passed, failed int
	ps             *processes
	cp             *controlPlane
	objects        dynamic.Interface
}

func liveMain(args []string) int {
	l := &live{ps: newProcesses()}
	flags := flag.NewFlagSet("live", flag.ExitOnError)
	flags.StringVar(&l.binary, "numawise", "", "the numawise program")
	flags.StringVar(&l.source, "source", "", "the top of numawise's source tree")
	flags.StringVar(&l.work, "work", "", "an empty directory to work in; removed at the end")
	keep := flags.String("keep-logs", "", "where the logs of a failed run are kept")
	flags.IntVar(&l.nodes, "nodes", 100, "nodes, of four kinds")
	flags.IntVar(&l.pods, "pods", 1000, "pods that arrive")
	flags.Uint64Var(&l.seed, "seed", 1, "of the pods")
	small := flags.Bool("small", false, "few nodes and pods: that it works")
	_ = flags.Parse(args)
	var err error
	if l.self, err = os.Executable(); err != nil || l.binary == "" || l.source == "" || l.work == "" || l.nodes < 4 || l.pods < 1 {
		fmt.Fprint(os.Stderr, usageText)
		return 2
	}
	if *small {
		l.nodes, l.pods = 12, 120
	}
	klog.SetLogger(logr.Discard()) // the kubelets' managers say much
	end := l.untilSignalled(*keep)
	l.play()
	end()
	fmt.Printf("%d passed, %d failed\n", l.passed, l.failed)
	if l.failed > 0 {
		return 1
	}
	return 0
}

// untilSignalled returns what ends all processes and removes the directory; a signal does it too.
func (l *live) untilSignalled(keep string) func() {
	var once sync.Once
	end := func() {
		once.Do(func() {
			l.ps.killAll()
			if l.failed > 0 && keep != "" {
				keepLogs(l.work, keep)
			}
			_ = os.RemoveAll(l.work)
		})
	}
	dieWithParent()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		got := <-signals
		end()
		fmt.Fprintf(os.Stderr, "e2e: ended by %v\n", got)
		os.Exit(130)
	}()
	return end
}

// keepLogs moves what the processes said to where a person can look after a failure.
func keepLogs(work, dir string) {
	_ = os.RemoveAll(dir)
	_ = os.MkdirAll(dir, 0o755)
	logs, _ := filepath.Glob(filepath.Join(work, "*.log"))
	for _, log := range logs {
		if text, err := os.ReadFile(log); err == nil {
			_ = os.WriteFile(filepath.Join(dir, filepath.Base(log)), text, 0o644)
		}
	}
	fmt.Printf("\nlogs: %s\n", dir)
}

func (l *live) check(fact string, err error) bool {
	if err == nil {
		l.passed++
		fmt.Printf("  ok    %s\n", fact)
		return true
	}
	l.failed++
	fmt.Printf("  FAIL  %s\n        %s\n", fact, strings.ReplaceAll(err.Error(), "\n", "\n        "))
	return false
}

func (l *live) play() {
	ctx := context.Background()
	began := time.Now()
	if !l.check("etcd, kube-apiserver and kube-controller-manager start", l.setUp(ctx)) {
		return
	}
	l.check("the API server takes every file of deploy/crds", l.installCRDs(ctx))
	fmt.Printf("\nkube-controller-manager and kubelets\n")
	l.playControllers(ctx)
	fmt.Printf("\n%d pods come and go on %d nodes (seed %d)\n", l.pods, l.nodes, l.seed)
	l.playStorms(ctx)
	fmt.Printf("\nlive: %.0f s\n", time.Since(began).Seconds())
}

func (l *live) setUp(ctx context.Context) error {
	var err error
	if l.cp, err = startControlPlane(l.ps, l.self, l.work); err != nil {
		return err
	}
	plain := *l.cp.config
	plain.ContentType = ""
	if l.objects, err = dynamic.NewForConfig(&plain); err != nil {
		return err
	}
	if err = l.cp.startControllers(); err != nil {
		return err
	}
	return l.grant(ctx)
}

// startControllers: those that replace pods, count budgets and clear up.
func (cp *controlPlane) startControllers() error {
	kubeconfig := filepath.Join(cp.work, "controllers.kubeconfig")
	if err := writeFile(kubeconfig, []byte(cp.kubeconfig("controllers"))); err != nil {
		return err
	}
	p, err := cp.ps.start("kube-controller-manager", cp.logPath("kube-controller-manager"), cp.self, "kube-controller-manager",
		"--kubeconfig="+kubeconfig, "--leader-elect=false", "--use-service-account-credentials=false", "--secure-port=0",
		"--kube-api-qps=1000", "--kube-api-burst=1000",
		"--controllers=replicaset-controller,deployment-controller,disruption-controller,garbage-collector-controller,"+
			"serviceaccount-controller,namespace-controller")
	if err != nil {
		return err
	}
	if !p.running() {
		return errors.New(p.tail(15))
	}
	return nil
}

// grant gives kube-controller-manager all rights, for its controllers have no accounts of their own
// here, and numawise those that docs/operations.md names.
func (l *live) grant(ctx context.Context) error {
	reads := []string{"list", "watch"}
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "numawise"}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"nodes", "pods", "namespaces"}, Verbs: reads},
		{APIGroups: []string{"topology.node.k8s.io"}, Resources: []string{"noderesourcetopologies"}, Verbs: reads},
		{APIGroups: []string{"orchestration.gokore.io"}, Resources: []string{"concurrencypolicies", "signals"}, Verbs: reads},
		{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"get"}},
		{APIGroups: []string{""}, Resources: []string{"pods/binding"}, Verbs: []string{"create"}},
	}}
	if _, err := l.cp.client.RbacV1().ClusterRoles().Create(ctx, role, metav1.CreateOptions{}); err != nil {
		return err
	}
	for user, name := range map[string]string{"numawise": "numawise", "system:kube-controller-manager": "cluster-admin"} {
		binding := &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "e2e-" + name},
			RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
			Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}}}
		if _, err := l.cp.client.RbacV1().ClusterRoleBindings().Create(ctx, binding, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	return nil
}

var crds = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// installCRDs creates every definition that is shipped and waits until the API server serves them.
func (l *live) installCRDs(ctx context.Context) error {
	files, err := filepath.Glob(filepath.Join(l.source, "deploy", "crds", "*.yaml"))
	if err != nil || len(files) == 0 {
		return errors.Join(err, errors.New("there are none"))
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		crd := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(text, &crd.Object); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if _, err = l.objects.Resource(crds).Create(ctx, crd, metav1.CreateOptions{}); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if err := l.served(ctx, crd.GetName()); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return nil
}

// served waits until a definition is established, and refuses one that has a complaint.
func (l *live) served(ctx context.Context, name string) error {
	return eventually(30*time.Second, func() error {
		crd, err := l.objects.Resource(crds).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		conditions, _, _ := unstructured.NestedSlice(crd.Object, "status", "conditions")
		established := false
		for _, c := range conditions {
			condition, _ := c.(map[string]any)
			kind, status := condition["type"], condition["status"]
			switch {
			case kind == "Established" && status == "True":
				established = true
			case kind == "NonStructuralSchema" && status == "True",
				(kind == "NamesAccepted" || kind == "KubernetesAPIApprovalPolicyConformant") && status == "False":
				return fmt.Errorf("%v: %v", kind, condition["message"])
			}
		}
		if !established {
			return errors.New("not established")
		}
		return nil
	})
}

// eventually tries until it works, or returns the last error.
func eventually(patience time.Duration, try func() error) error {
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		err := try()
		if err == nil || time.Now().After(end) {
			return err
		}
	}
}

// serveLive starts numawise over the API server and waits until it has read everything.
func (l *live) serveLive(settings string) (*numawise, error) {
	kubeconfig := filepath.Join(l.work, "numawise.kubeconfig")
	if err := writeFile(kubeconfig, []byte(l.cp.kubeconfig("numawise"))); err != nil {
		return nil, err
	}
	config := filepath.Join(l.work, "numawise.yaml")
	text := "apiVersion: numawise.config.gokore.io/v1alpha1\nkind: NumawiseConfiguration\n" + settings
	if err := writeFile(config, []byte(text)); err != nil {
		return nil, err
	}
	nw, err := l.ps.serve(l.binary, l.work, "--kubeconfig", kubeconfig, "--config", config)
	if err != nil {
		return nil, err
	}
	err = eventually(30*time.Second, func() error {
		reply, err := asker.Get(nw.console.Scheme + "://" + nw.console.Host + "/readyz?verbose")
		if err != nil {
			return err
		}
		defer reply.Body.Close()
		if reply.StatusCode != http.StatusOK {
			return fmt.Errorf("/readyz: %s\n%s", reply.Status, nw.tail(10))
		}
		return nil
	})
	return nw, err
}

func ignoreAbsent(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
