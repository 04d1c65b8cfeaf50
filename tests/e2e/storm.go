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
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"numawise.dev/tests/fleet"
	"numawise.dev/tests/kubelet"
)

// A mode is one way to place the pods of a storm.
type mode struct {
	name     string
	numawise bool
	settings string // of numawise
	bind     bool
	zero     bool // no kubelet may refuse a pod
}

var modes = []mode{
	{name: "kube-scheduler alone"},
	{name: "numawise, Shadow", numawise: true, settings: "extender: {mode: Shadow}\n"},
	{name: "numawise", numawise: true},
	{name: "numawise, bind", numawise: true, settings: "extender: {bind: true}\n", bind: true, zero: true},
}

// What came of one storm.
type stormResult struct {
	mode    mode
	stats   fleet.Stats
	pending int // pods that wait at the end
	could   int // of them, pods that some kubelet would admit
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

// playStorms plays the same storm in every mode and prints what came of it.
func (l *live) playStorms(ctx context.Context) {
	var results []*stormResult
	for _, m := range modes {
		r, err := l.storm(ctx, m)
		if !l.check(m.name+": every pod is bound, refused or waits; the kubelets live", err) {
			continue
		}
		results = append(results, r)
		if m.zero {
			err = nil
			if n := r.rejections(); n > 0 {
				err = fmt.Errorf("%d: %s", n, r.reasons())
			}
			l.check(m.name+": no kubelet refuses a pod", err)
		}
	}
	fmt.Printf("\n  %-22s %9s %10s %10s %9s %16s %7s   %s\n", "", "admitted", "refused by", "mean", "Pending", "Pending although", "", "")
	fmt.Printf("  %-22s %9s %10s %10s %9s %16s %7s   %s\n", "", "", "kubelets", "distance", "", "a kubelet would", "s", "refused for")
	for _, r := range results {
		fmt.Printf("  %-22s %9d %10d %10.2f %9d %16d %7.0f   %s\n", r.mode.name, r.stats.Admitted, r.rejections(),
			r.stats.MeanDistance(), r.pending, r.could, r.took.Seconds(), r.reasons())
	}
}

// machines are four kinds of nodes in turn.
func machines(n int) []fleet.Machine {
	static := func(policy, scope string, options map[string]string, memory string) kubelet.Config {
		return kubelet.Config{TopologyManagerPolicy: policy, TopologyManagerScope: scope, CPUManagerPolicy: "static",
			CPUManagerPolicyOptions: options, MemoryManagerPolicy: memory}
	}
	whole := map[string]string{"full-pcpus-only": "true"}
	kinds := []struct {
		name string
		node kubelet.Node
	}{
		{"two-single-numa-node",
			fleet.Regular{Zones: 2, ZonesPerSocket: 1, Cores: 8, Threads: 2, MemoryGiB: 64}.Describe(static("single-numa-node", "container", whole, "Static"))},
		{"four-restricted-gpus",
			fleet.Regular{Zones: 4, ZonesPerSocket: 2, Cores: 4, Threads: 2, MemoryGiB: 32, GPUs: 8}.Describe(static("restricted", "container", nil, "Static"))},
		{"two-best-effort-pod",
			fleet.Regular{Zones: 2, ZonesPerSocket: 1, Cores: 12, Threads: 1, MemoryGiB: 96}.Describe(static("best-effort", "pod", nil, "Static"))},
		{"eight-single-numa-node-pod",
			fleet.Regular{Zones: 8, ZonesPerSocket: 4, Cores: 4, Threads: 2, MemoryGiB: 16}.Describe(static("single-numa-node", "pod", nil, "None"))},
	}
	var all []fleet.Machine
	for i := range n {
		k := kinds[i%len(kinds)]
		all = append(all, fleet.Machine{Name: fmt.Sprintf("storm-%03d", i), Kind: k.name, Kubelet: k.node})
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
		pods = append(pods, &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprintf("p%04d", i)},
			Spec: v1.PodSpec{Containers: []v1.Container{{Name: "main", Image: "none",
				Resources: v1.ResourceRequirements{Limits: limits, Requests: requests}}}}})
	}
	return pods
}

// One pod arrives this often; from then on one leaves with each, so that about so many are there.
const (
	between       = 20 * time.Millisecond
	aliveOfEvery  = 10
	alivePerNodes = 5.0
)

func (l *live) storm(ctx context.Context, m mode) (*stormResult, error) {
	namespace := "storm"
	if err := l.makeNamespace(ctx, namespace); err != nil {
		return nil, err
	}
	kubelets, err := fleet.Start(ctx, l.cp.config, machines(l.nodes), 50*time.Millisecond)
	if err != nil {
		return nil, err
	}
	setup := schedulerSetup{name: "kube-scheduler " + m.name, names: true, weight: extenderWeight, percentage: 100, verbosity: 2}
	if m.numawise {
		nw, err := l.serveLive(m.settings)
		if err != nil {
			return nil, err
		}
		defer nw.kill()
		setup.extender, setup.bind = nw.extender.String(), m.bind
	}
	scheduler, err := l.cp.startScheduler(setup)
	if err != nil {
		return nil, err
	}
	defer scheduler.kill()

	result := &stormResult{mode: m}
	began := time.Now()
	if err := l.comeAndGo(ctx, stormPods(l.seed, l.pods, namespace)); err != nil {
		return nil, err
	}
	waiting, err := l.calm(ctx, namespace)
	if err != nil {
		return nil, err
	}
	result.took = time.Since(began)
	result.stats = kubelets.Stats()
	scheduler.kill()
	for i := range waiting {
		result.pending++
		if len(kubelets.Fits(&waiting[i])) > 0 {
			result.could++
		}
	}
	err = l.removeNamespace(ctx, namespace)
	err = errors.Join(err, kubelets.Stop(), kubelets.Remove(ctx))
	if result.stats.Crashed > 0 {
		err = errors.Join(err, fmt.Errorf("%d kubelets crashed", result.stats.Crashed))
	}
	return result, err
}

// comeAndGo creates the pods one after the other; when enough are there, one of the older ones
// leaves with each, the same one for a seed.
func (l *live) comeAndGo(ctx context.Context, pods []*v1.Pod) error {
	r := rand.New(rand.NewPCG(l.seed, 2))
	client := l.cp.client.CoreV1().Pods(pods[0].Namespace)
	alive := int(alivePerNodes * float64(l.nodes))
	var there []string
	tick := time.NewTicker(between)
	defer tick.Stop()
	for _, pod := range pods {
		<-tick.C
		if _, err := client.Create(ctx, pod, metav1.CreateOptions{}); err != nil {
			return err
		}
		there = append(there, pod.Name)
		if len(there) > alive {
			i := r.IntN(len(there) * (aliveOfEvery - 1) / aliveOfEvery)
			if err := ignoreAbsent(client.Delete(ctx, there[i], metav1.DeleteOptions{})); err != nil {
				return err
			}
			there = append(there[:i], there[i+1:]...)
		}
	}
	return nil
}

// calm waits until no pod has changed for a while, and returns those that wait for a node.
func (l *live) calm(ctx context.Context, namespace string) ([]v1.Pod, error) {
	const quiet = 6 * time.Second // more than one round of kube-scheduler's back-off
	var before string
	since := time.Now()
	for end := time.Now().Add(3 * time.Minute); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		list, err := l.cp.client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, err
		}
		var waiting []v1.Pod
		state := ""
		for _, pod := range list.Items {
			state += pod.Name + " " + pod.Spec.NodeName + " " + string(pod.Status.Phase) + "\n"
			switch {
			case pod.Spec.NodeName == "":
				waiting = append(waiting, pod)
			case pod.Status.Phase == v1.PodPending || pod.DeletionTimestamp != nil:
				since = time.Now() // a kubelet is at it
			}
		}
		if state != before {
			before, since = state, time.Now()
		}
		if time.Since(since) > quiet {
			return waiting, nil
		}
	}
	return nil, errors.New("the cluster does not come to rest")
}
