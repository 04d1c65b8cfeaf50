// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-logr/logr"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
)

// The whole way: numawise over a real API server, with a real kube-scheduler and
// kube-controller-manager, and kubelets that decide by the kubelet's own code.
type live struct {
	self, binary, source, work string
	nodes, pods                int
	seed                       uint64
	publish                    time.Duration
	small                      bool

	ps *processes
	cp *controlPlane
	counts
}

func liveMain(args []string) int {
	l := &live{ps: newProcesses()}
	flags := flag.NewFlagSet("live", flag.ExitOnError)
	flags.StringVar(&l.binary, "numawise", "", "the numawise program")
	flags.StringVar(&l.source, "source", "", "the top of numawise's source tree")
	flags.StringVar(&l.work, "work", "", "an empty directory to work in; removed at the end")
	keep := flags.String("keep-logs", "", "where the logs of a failed run are kept")
	flags.IntVar(&l.nodes, "nodes", 100, "nodes of a storm, of four kinds")
	flags.IntVar(&l.pods, "pods", 1000, "pods that arrive in a storm")
	flags.Uint64Var(&l.seed, "seed", 1, "of the pods")
	flags.DurationVar(&l.publish, "publish", 50*time.Millisecond, "a node's topology is published at most once in this time")
	only := flags.String("only", "", "only scenarios whose title has this text")
	flags.BoolVar(&l.small, "small", false, "few nodes, pods and modes: that it works")
	_ = flags.Parse(args)
	var err error
	if l.self, err = os.Executable(); err != nil || l.binary == "" || l.source == "" || l.work == "" || l.nodes < 4 || l.pods < 1 {
		fmt.Fprint(os.Stderr, usageText)
		return 2
	}
	if l.small {
		l.nodes, l.pods = 8, 80
	}
	klog.SetLogger(logr.Discard()) // the kubelets' managers say much
	end := untilSignalled(l.ps, l.work, func() {
		if l.failed > 0 && *keep != "" {
			keepLogs(l.work, *keep)
		}
	})
	l.play(*only)
	end()
	return l.sums()
}

func (l *live) play(only string) {
	ctx := context.Background()
	began := time.Now()
	if !l.check("etcd, kube-apiserver and kube-controller-manager start", l.setUp(ctx)) {
		return
	}
	l.check("the API server takes every file of deploy/crds", l.installCRDs(ctx))
	for _, scenario := range []struct {
		title string
		play  func(context.Context)
	}{
		{"what is shipped", l.playManifests},
		{"kube-controller-manager and kubelets", l.playControllers},
		{"the operator, with tokens and roles of the real API server", l.playOperator},
		{"the agent, with the token of a pod", l.playAgent},
		{"a pod that fits no zone", l.playReasons},
		{"news that come a moment late", l.playNews},
		{"news that kube-scheduler does not watch", l.playUnwatched},
		{"bind", l.playBind},
		{"numawise is away, and ignorable", l.playIgnorable},
		{"numawise behind TLS, with certificates on both sides", l.playTLS},
		{"Shadow", l.playShadow},
		{"preemption", l.playPreempt},
		{"a kubelet that says otherwise", l.playOtherwise},
		{fmt.Sprintf("%d pods come and go on %d nodes (seed %d)", l.pods, l.nodes, l.seed), l.playStorms},
		{"numawise is killed again and again meanwhile", l.playKilled},
		{"the API server is killed meanwhile", l.playRestartedServer},
	} {
		if strings.Contains(scenario.title, only) {
			fmt.Printf("\n%s\n", scenario.title)
			scenario.play(ctx)
		}
	}
	fmt.Printf("\nlive: %.0f s\n", time.Since(began).Seconds())
}

func (l *live) setUp(ctx context.Context) error {
	var err error
	if l.cp, err = startControlPlane(l.ps, l.self, l.work); err != nil {
		return err
	}
	if err = l.cp.ca.issue("stranger", "stranger"); err != nil {
		return err
	}
	if err = l.cp.ca.issueFor("server", "numawise", "numawise.numawise-system.svc"); err != nil {
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
	if err == nil && !p.running() {
		err = errors.New(p.tail(15))
	}
	return err
}

// grant gives numawise the rules that are shipped, by their own bindings, the object that goes with
// those of retry, and kube-controller-manager
// all rights, for its controllers have no accounts of their own here.
func (l *live) grant(ctx context.Context) error {
	if err := l.makeNamespace(ctx, retryNamespace); err != nil {
		return err
	}
	for _, file := range []string{"extender-rbac.yaml", "bind/rbac.yaml", "events/rbac.yaml", "preempt/rbac.yaml", "retry/rbac.yaml"} {
		objects, err := loadObjects(filepath.Join(l.source, "deploy", "manifests", file))
		if err != nil {
			return err
		}
		for _, o := range objects {
			if o.name("kind") == "ServiceAccount" {
				continue
			}
			if err := l.cp.postManifest(ctx, o, false); err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
		}
	}
	binding := &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "e2e-controllers"},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "system:kube-controller-manager"}}}
	_, err := l.cp.client.RbacV1().ClusterRoleBindings().Create(ctx, binding, metav1.CreateOptions{})
	return err
}

func (l *live) installCRDs(ctx context.Context) error {
	files, err := filepath.Glob(filepath.Join(l.source, "deploy", "crds", "*.yaml"))
	if err != nil || len(files) == 0 {
		return errors.Join(err, errors.New("there are none"))
	}
	for _, file := range files {
		objects, err := loadObjects(file)
		for _, crd := range objects {
			err = errors.Join(err, l.cp.install(ctx, crd))
		}
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return nil
}

// playManifests: the API server would take everything below deploy/manifests as it is, and what the
// chart makes of it, where tests/chart/run has rendered it beside the program.
func (l *live) playManifests(ctx context.Context) {
	plain, err := l.takeAll(ctx, filepath.Join(l.source, "deploy", "manifests"))
	l.check(fmt.Sprintf("the API server would take the %d objects of deploy/manifests", plain), err)
	rendered := filepath.Join(filepath.Dir(l.binary), "chart")
	if _, err := os.Stat(rendered); errors.Is(err, fs.ErrNotExist) {
		fmt.Printf("        the chart is not rendered in %s (tests/chart/run)\n", rendered)
		return
	}
	for _, namespace := range []string{"team-a", "team-a-agents"} {
		if err := l.makeNamespace(ctx, namespace); err != nil {
			l.check("there is a namespace "+namespace, err)
			return
		}
	}
	n, err := l.takeAll(ctx, rendered)
	if err == nil && n <= plain {
		err = fmt.Errorf("there are %d", n)
	}
	l.check(fmt.Sprintf("and the %d that the chart renders, whatever is switched on", n), err)
}

// takeAll tries the manifests below a folder; how many objects there were.
func (l *live) takeAll(ctx context.Context, folder string) (int, error) {
	tried := 0
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && entry.Name() == "settings" {
			return fs.SkipDir // numawise's own
		}
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".yaml" || entry.Name() == "kustomization.yaml" {
			return err
		}
		objects, err := loadObjects(path)
		for _, o := range objects {
			tried++
			// A Namespace is kept: others are in it.
			if e := l.cp.postManifest(ctx, o, o.name("kind") != "Namespace"); e != nil && !apierrors.IsAlreadyExists(e) {
				err = errors.Join(err, fmt.Errorf("%s: %s %s: %w", entry.Name(), o.name("kind"), o.name("metadata", "name"), e))
			}
		}
		return err
	})
	if err == nil && tried == 0 {
		err = errors.New("there are none")
	}
	return tried, err
}

func ignoreAbsent(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
