// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sort"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"numawise.dev/tests/fleet"
	"numawise.dev/tests/kubelet"
)

// A mode is one way to place the pods of a storm.
type mode struct {
	name      string
	numawise  bool
	settings  string // of numawise
	scheduler string // file of deploy/kube-scheduler
	plain     bool   // topologies without the attributes that decide
	zero      bool   // no kubelet may refuse a pod
	large     bool   // not in the small run
}

const withBind = "extender: {bind: true}\n"

var modes = []mode{
	{name: "kube-scheduler alone", scheduler: "config.yaml"},
	{name: "numawise, Shadow", numawise: true, settings: "extender: {mode: Shadow}\n", scheduler: "config.yaml", large: true},
	{name: "numawise, plain topologies", numawise: true, scheduler: "config.yaml", plain: true, large: true},
	{name: "... and bind", numawise: true, settings: withBind, scheduler: "bind.yaml", plain: true, large: true},
	{name: "numawise, agent data", numawise: true, scheduler: "config.yaml"},
	{name: "... and decide", numawise: true, settings: "extender: {decide: true}\n", scheduler: "config.yaml", large: true},
	{name: "agent data, and bind", numawise: true, settings: withBind, scheduler: "bind.yaml", zero: true},
}

// What came of one storm.
type stormResult struct {
	mode    mode
	stats   fleet.Stats
	pending int      // pods that wait at the end
	could   []string // of them, pods that some kubelet would admit, and what they wait for
	took    time.Duration
}

func (r *stormResult) rejections() int {
	sum := 0
	for _, n := range r.stats.Rejected {
		sum += n
	}
	return sum
}

func (r *stormResult) reasons() string {
	var parts []string
	for reason, n := range r.stats.Rejected {
		parts = append(parts, fmt.Sprintf("%s %d", reason, n))
	}
	sort.Strings(parts)
	return strings.Join(parts, ", ")
}

// refusedNone: no kubelet refused a pod, and numawise had said where the pods would be.
func (r *stormResult) refusedNone() error {
	var err error
	if n := r.rejections(); n > 0 {
		err = fmt.Errorf("%d are refused: %s", n, r.reasons())
	}
	if r.stats.Foretold == 0 {
		err = errors.Join(err, errors.New("no pod has predicted zones on it"))
	}
	return err
}

// playStorms plays the same storm in every mode and prints what came of it.
func (l *live) playStorms(ctx context.Context) {
	var results []*stormResult
	for i, m := range modes {
		if l.small && m.large {
			continue
		}
		r, err := l.storm(ctx, m, fmt.Sprintf("storm-%d", i), nil)
		l.check(m.name+": every pod is bound, refused or waits; the kubelets live", err)
		if r == nil {
			continue
		}
		results = append(results, r)
		if m.zero {
			l.check(m.name+": no kubelet refuses a pod", r.refusedNone())
		}
	}
	fmt.Printf("\n  %-27s %9s %10s %9s %8s %16s   %s\n", "", "admitted", "refused by", "mean", "Pending", "Pending although", "refused for")
	fmt.Printf("  %-27s %9s %10s %9s %8s %16s\n", "", "", "kubelets", "distance", "", "a kubelet would")
	for _, r := range results {
		fmt.Printf("  %-27s %9d %10d %9.2f %8d %16d   %s\n", r.mode.name, r.stats.Admitted, r.rejections(),
			r.stats.MeanDistance(), r.pending, len(r.could), r.reasons())
	}
	for _, r := range results {
		for _, why := range r.could {
			fmt.Printf("  %s: %s\n", r.mode.name, why)
		}
	}
}

// machines are four kinds of nodes in turn.
func machines(prefix string, n int) []fleet.Machine {
	static := func(policy, scope string, options map[string]string, memory string) kubelet.Config {
		return kubelet.Config{TopologyManagerPolicy: policy, TopologyManagerScope: scope, CPUManagerPolicy: "static",
			CPUManagerPolicyOptions: options, MemoryManagerPolicy: memory}
	}
	whole := map[string]string{"full-pcpus-only": "true"}
	kinds := []struct {
		name string
		node kubelet.Node
	}{
		{"two-zones-single-numa-node",
			fleet.Regular{Zones: 2, ZonesPerSocket: 1, Cores: 8, Threads: 2, MemoryGiB: 64}.Describe(static("single-numa-node", "container", whole, "Static"))},
		{"four-zones-restricted-gpus",
			fleet.Regular{Zones: 4, ZonesPerSocket: 2, Cores: 4, Threads: 2, MemoryGiB: 32, GPUs: 8}.Describe(static("restricted", "container", nil, "Static"))},
		{"eight-zones-best-effort-pod",
			fleet.Regular{Zones: 8, ZonesPerSocket: 4, Cores: 4, Threads: 2, MemoryGiB: 16}.Describe(static("best-effort", "pod", nil, "None"))},
		{"two-zones-none",
			fleet.Regular{Zones: 2, ZonesPerSocket: 1, Cores: 12, Threads: 1, MemoryGiB: 96}.Describe(static("none", "container", nil, "None"))},
	}
	var all []fleet.Machine
	for i := range n {
		k := kinds[i%len(kinds)]
		all = append(all, fleet.Machine{Name: fmt.Sprintf("%s-%03d", prefix, i), Kind: k.name, Kubelet: k.node})
	}
	return all
}

// stormPods are the same for a seed.
func stormPods(seed uint64, n int, namespace string) []*v1.Pod {
	r := rand.New(rand.NewPCG(seed, 1))
	var pods []*v1.Pod
	for i := range n {
		limits := v1.ResourceList{}
		set := func(name v1.ResourceName, amount int, unit string) {
			limits[name] = resource.MustParse(fmt.Sprintf("%d%s", amount, unit))
		}
		set(v1.ResourceCPU, []int{1, 2, 2, 2, 4, 4, 4, 6, 6, 8, 8, 10, 12, 14}[r.IntN(14)], "")
		set(v1.ResourceMemory, 512+512*r.IntN(24), "Mi")
		if r.IntN(8) == 0 {
			set("example.com/gpu", 1+r.IntN(2), "")
		}
		requests := limits.DeepCopy()
		if r.IntN(6) == 0 { // Burstable: of the shared pool
			requests[v1.ResourceCPU] = resource.MustParse("500m")
		}
		pod := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprintf("p%04d", i)},
			Spec: v1.PodSpec{Containers: []v1.Container{{Name: "main", Image: "none",
				Resources: v1.ResourceRequirements{Limits: limits, Requests: requests}}}}}
		if r.IntN(5) == 0 {
			side := guaranteed(1).Containers[0]
			side.Name = "side"
			pod.Spec.Containers = append(pod.Spec.Containers, side)
		}
		pods = append(pods, pod)
	}
	return pods
}

// One pod arrives this often; when so many are there, one of the older ones leaves with each.
const (
	between      = 20 * time.Millisecond
	podsOnANode  = 5
	olderPercent = 90
)

// storm plays one mode in a namespace of its own; `meanwhile` is done while pods come and go.
func (l *live) storm(ctx context.Context, m mode, name string, meanwhile func(*stage) error) (*stormResult, error) {
	st, err := l.set(ctx, staging{name: name, machines: machines(name, l.nodes), numawise: m.numawise, settings: m.settings,
		scheduler: m.scheduler, kubelets: fleet.Options{Publish: l.publish, Plain: m.plain}})
	if err != nil {
		return nil, err
	}
	result := &stormResult{mode: m}
	began := time.Now()
	other := make(chan error, 1)
	go func() {
		if meanwhile == nil {
			other <- nil
		} else {
			other <- meanwhile(st)
		}
	}()
	err = errors.Join(l.comeAndGo(ctx, stormPods(l.seed, l.pods, name)), <-other)
	var waiting []v1.Pod
	if err == nil {
		waiting, err = l.calm(ctx, name)
	}
	result.took = time.Since(began)
	result.stats = st.kubelets.Stats()
	st.scheduler.kill()
	for i := range waiting {
		result.pending++
		if nodes := st.kubelets.Fits(&waiting[i]); len(nodes) > 0 {
			result.could = append(result.could, fmt.Sprintf("%s would be admitted on %s; %s", waiting[i].Name, nodes[0], scheduled(&waiting[i]).Message))
		}
	}
	return result, errors.Join(err, st.strike(ctx))
}

// comeAndGo creates the pods one after the other; when enough are there, one of the older ones
// leaves with each, the same one for a seed. An API server that is away is waited for.
func (l *live) comeAndGo(ctx context.Context, pods []*v1.Pod) error {
	r := rand.New(rand.NewPCG(l.seed, 2))
	client := l.cp.client.CoreV1().Pods(pods[0].Namespace)
	var there []string
	tick := time.NewTicker(between)
	defer tick.Stop()
	for _, pod := range pods {
		<-tick.C
		err := patiently(func() error {
			_, err := client.Create(ctx, pod, metav1.CreateOptions{})
			return err
		})
		if err != nil && !apierrors.IsAlreadyExists(err) { // by a call that was cut off
			return err
		}
		there = append(there, pod.Name)
		if len(there) <= podsOnANode*l.nodes {
			continue
		}
		i := r.IntN(len(there) * olderPercent / 100)
		err = patiently(func() error { return client.Delete(ctx, there[i], metav1.DeleteOptions{}) })
		if err := ignoreAbsent(err); err != nil {
			return err
		}
		there = append(there[:i], there[i+1:]...)
	}
	return nil
}

// patiently tries again while the API server cannot be reached.
func patiently(do func() error) error {
	err := do()
	for end := time.Now().Add(time.Minute); fleet.Unreachable(err) && time.Now().Before(end); err = do() {
		time.Sleep(50 * time.Millisecond)
	}
	return err
}

// calm returns the pods that wait for a node when all others are settled and, where some wait,
// nothing has changed for longer than kube-scheduler waits at most before it tries a pod again.
func (l *live) calm(ctx context.Context, namespace string) ([]v1.Pod, error) {
	const quiet = 13 * time.Second
	var before string
	since := time.Now()
	for end := time.Now().Add(3 * time.Minute); time.Now().Before(end); time.Sleep(250 * time.Millisecond) {
		list, err := l.cp.client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, err
		}
		var waiting []v1.Pod
		state, settled := "", true
		for _, pod := range list.Items {
			state += pod.Name + " " + pod.Spec.NodeName + " " + string(pod.Status.Phase) + "\n"
			switch {
			case pod.DeletionTimestamp != nil, pod.Spec.NodeName != "" && pod.Status.Phase == v1.PodPending:
				settled = false // a kubelet is at it
			case pod.Spec.NodeName == "":
				waiting = append(waiting, pod)
			}
		}
		if state != before || !settled {
			before, since = state, time.Now()
		}
		if settled && (len(waiting) == 0 || time.Since(since) > quiet) {
			return waiting, nil
		}
	}
	return nil, errors.New("the cluster does not come to rest")
}

// playKilled: nothing is lost with numawise, and nothing is bound twice.
func (l *live) playKilled(ctx context.Context) {
	kills := 5
	if l.small {
		kills = 2
	}
	r, err := l.storm(ctx, modes[len(modes)-1], "killed", func(st *stage) error {
		for range kills {
			time.Sleep(time.Duration(l.pods) * between / time.Duration(kills+1))
			st.nw.kill()
			if err := st.restart(); err != nil {
				return err
			}
		}
		return nil
	})
	l.check(fmt.Sprintf("%d times: no pod is lost or bound twice", kills), err)
	if err == nil {
		l.check("no kubelet refuses a pod", r.refusedNone())
		l.printCould(r)
	}
}

// playRestartedServer: numawise, kube-scheduler and the kubelets find back. That no kubelet refuses
// a pod is not asserted: a kubelet may hear of a new pod before it hears that another one is gone.
func (l *live) playRestartedServer(ctx context.Context) {
	r, err := l.storm(ctx, modes[len(modes)-1], "restarted", func(st *stage) error {
		time.Sleep(time.Duration(l.pods) * between / 2)
		return l.cp.restartAPIServer(2 * time.Second)
	})
	l.check("no pod is lost or bound twice", err)
	if r != nil {
		fmt.Printf("        %d refused by kubelets: %s\n", r.rejections(), r.reasons())
		l.printCould(r)
	}
}

// printCould says what is left of a storm.
func (l *live) printCould(r *stormResult) {
	fmt.Printf("        %d admitted, %d as predicted and %d in other zones; %d wait, %d of them although a kubelet would admit them\n",
		r.stats.Admitted, r.stats.Foretold, r.stats.Elsewhere, r.pending, len(r.could))
	for _, why := range r.could {
		fmt.Printf("        %s\n", why)
	}
}
