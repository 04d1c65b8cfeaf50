// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	v1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"numawise.dev/tests/fleet"
)

// onOneMachine sets a stage with one node of 7 and 8 CPUs.
func (l *live) onOneMachine(ctx context.Context, name, scheduler, settings string) (*stage, bool) {
	st, err := l.set(ctx, staging{name: name, machines: oneMachine(name), numawise: true, settings: settings, scheduler: scheduler,
		kubelets: fleet.Options{Publish: l.publish}})
	return st, l.check("a node of 7 and 8 CPUs, numawise and kube-scheduler start", err)
}

// end takes the stage away; the kubelet has refused so many pods.
func (l *live) end(ctx context.Context, st *stage, refused int) {
	err := st.strike(ctx)
	n := 0
	for _, of := range st.kubelets.Stats().Rejected {
		n += of
	}
	if n != refused {
		err = errors.Join(err, fmt.Errorf("%v", st.kubelets.Stats().Rejected))
	}
	l.check(fmt.Sprintf("the kubelet refused %d pods", refused), err)
}

// playReasons: people read why in the pod's events.
func (l *live) playReasons(ctx context.Context) {
	st, ok := l.onOneMachine(ctx, "reasons", "config.yaml", "")
	if !ok {
		return
	}
	l.check("two pods of 5 CPUs run, each in a zone", errors.Join(
		st.ends(ctx, "a", guaranteed(5), v1.PodRunning, ""), st.ends(ctx, "b", guaranteed(5), v1.PodRunning, "")))
	err := st.create(ctx, "c", guaranteed(5))
	if err == nil {
		err = st.waits(ctx, "c", "0/1 nodes are available: 1 numawise: TopologyAffinityError")
	}
	l.check("a third waits, though 5 CPUs are free; its condition and its event name the kubelet's reason", err)
	l.check("it runs when one of the two has left", errors.Join(st.remove(ctx, "a"), st.wakes(ctx, "c")))
	l.end(ctx, st, 0)
}

// wakes: a waiting pod runs soon, or after the next change of the cluster. kube-scheduler can be
// faster than numawise with the news that a pod has gone, and then the refusal stands until then.
func (st *stage) wakes(ctx context.Context, name string) error {
	err := st.is(ctx, name, v1.PodRunning, "", 5*time.Second)
	if err == nil {
		return nil
	}
	fmt.Printf("        not at once: %s\n", err)
	nodes := st.l.cp.client.CoreV1().Nodes()
	if _, err = nodes.Patch(ctx, st.machines[0].Name, types.MergePatchType, []byte(`{"metadata":{"labels":{"e2e/touched":"yes"}}}`), metav1.PatchOptions{}); err != nil {
		return err
	}
	return st.is(ctx, name, v1.PodRunning, "", soon)
}

// playBind: numawise binds, and says in the same write where the containers will be.
func (l *live) playBind(ctx context.Context) {
	st, ok := l.onOneMachine(ctx, "bind", "bind.yaml", withBind)
	if !ok {
		return
	}
	var err error
	for i, cpus := range []int64{5, 5, 2, 3} { // 7 and 8 CPUs: zones 0, 1, 0, 1
		err = errors.Join(err, st.ends(ctx, fmt.Sprintf("p%d", i), guaranteed(cpus), v1.PodRunning, ""))
	}
	l.check("four pods run", err)
	bound, err := st.nw.metric(`numawise_extender_binds_total{result="bound"}`)
	if stats := st.kubelets.Stats(); err == nil && (bound != 4 || stats.Foretold != 4 || stats.Elsewhere != 0) {
		err = fmt.Errorf("%v bound; %+v", bound, stats)
	}
	l.check("numawise has bound them, and each has the zones that its annotation says", err)
	l.end(ctx, st, 0)
}

// playIgnorable: without numawise a kube-scheduler that may ignore it goes on alone, another waits.
func (l *live) playIgnorable(ctx context.Context) {
	st, ok := l.onOneMachine(ctx, "ignorable", "config.yaml", "")
	if !ok {
		return
	}
	st.nw.kill()
	l.check("ignorable: true: a pod is bound without it", st.ends(ctx, "a", guaranteed(2), v1.PodRunning, ""))
	st.scheduler.kill()
	err := st.startScheduler(func(extender map[string]any) { extender["ignorable"] = false })
	if err == nil {
		err = st.create(ctx, "b", guaranteed(2))
	}
	if err == nil {
		err = st.waits(ctx, "b", "connection refused")
	}
	l.check("ignorable: false: a pod waits, and says that numawise cannot be reached", err)
	err = st.restart()
	if err == nil {
		err = st.is(ctx, "b", v1.PodRunning, "", soon)
	}
	l.check("it is bound when numawise is back", err)
	l.end(ctx, st, 0)
}

// playTLS: the shipped configuration for a Service, and a client that is not on the list.
func (l *live) playTLS(ctx context.Context) {
	ca := l.cp.ca
	settings := fmt.Sprintf(`listeners:
  extender:
    tls:
      certFile: %s
      keyFile: %s
      clientCAFile: %s
      allowedNames: ["system:kube-scheduler"]
`, ca.path("server", "crt"), ca.path("server", "key"), ca.path("ca", "crt"))
	st, ok := l.onOneMachine(ctx, "tls", "service.yaml", settings)
	if !ok {
		return
	}
	l.check("a pod is placed", st.ends(ctx, "a", guaranteed(2), v1.PodRunning, ""))
	asked, err := st.nw.metric(`numawise_extender_requests_total{verb="filter",code="200"}`)
	if err == nil && asked < 1 {
		err = errors.New("filter was not called")
	}
	l.check("numawise was asked over "+st.nw.extender.Scheme, err)
	st.scheduler.kill()
	err = st.startScheduler(func(extender map[string]any) {
		extender["ignorable"] = false
		tls := extender["tlsConfig"].(map[string]any)
		tls["certFile"], tls["keyFile"] = ca.path("stranger", "crt"), ca.path("stranger", "key")
	})
	if err == nil {
		err = st.create(ctx, "b", guaranteed(2))
	}
	if err == nil {
		err = st.waits(ctx, "b", "tls")
	}
	l.check("a certificate of the same CA with another name is refused", err)
	l.end(ctx, st, 0)
}

// playShadow: nothing is held back, and what would have been is counted.
func (l *live) playShadow(ctx context.Context) {
	st, ok := l.onOneMachine(ctx, "shadow", "config.yaml", "extender: {mode: Shadow}\n")
	if !ok {
		return
	}
	l.check("a pod of 10 CPUs is bound, and its kubelet refuses it", st.ends(ctx, "wide", guaranteed(10), v1.PodFailed, "TopologyAffinityError"))
	counted, err := st.nw.metric(`numawise_extender_shadow_rejections_total{reason="TopologyAffinityError"}`)
	if err == nil && counted != 1 {
		err = fmt.Errorf("%v", counted)
	}
	l.check("numawise has counted one refusal that it did not make", err)
	l.end(ctx, st, 1)
}

// playPreempt: of four pods whose zones are full, the two of one zone go. kube-scheduler by itself
// would keep the two more important ones, and end one in each zone.
func (l *live) playPreempt(ctx context.Context) {
	for name, value := range map[string]int32{"p-40": 40, "p-30": 30, "p-20": 20, "p-10": 10, "p-100": 100} {
		class := &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Value: value}
		if _, err := l.cp.client.SchedulingV1().PriorityClasses().Create(ctx, class, metav1.CreateOptions{}); err != nil {
			l.check("priority classes", err)
			return
		}
	}
	st, err := l.set(ctx, staging{name: "preempt", machines: oneMachine("preempt"), numawise: true, settings: "extender: {preempt: true}\n",
		scheduler: "config.yaml", kubelets: fleet.Options{Publish: 20 * time.Millisecond},
		edit: func(extender map[string]any) { extender["preemptVerb"] = "preempt" }})
	if !l.check("a node of 7 and 8 CPUs, numawise and kube-scheduler start", err) {
		return
	}
	with := func(cpus int64, class string) v1.PodSpec {
		spec := guaranteed(cpus)
		spec.PriorityClassName = class
		return spec
	}
	// One after the other: 4 of 7 CPUs in zone 0, twice 4 of 8 in zone 1, the last 3 in zone 0.
	l.check("four pods of 4, 4, 4 and 3 CPUs run", errors.Join(
		st.ends(ctx, "a", with(4, "p-40"), v1.PodRunning, ""), st.ends(ctx, "b", with(4, "p-30"), v1.PodRunning, ""),
		st.ends(ctx, "c", with(4, "p-20"), v1.PodRunning, ""), st.ends(ctx, "d", with(3, "p-10"), v1.PodRunning, "")))
	l.check("a pod of 7 CPUs and more importance runs", st.ends(ctx, "high", with(7, "p-100"), v1.PodRunning, ""))
	list, err := l.cp.client.CoreV1().Pods(st.name).List(ctx, metav1.ListOptions{})
	left := ""
	if err == nil {
		for _, pod := range list.Items {
			left += pod.Name + " "
		}
		if left != "a d high " {
			err = fmt.Errorf("there are %s", left)
		}
	}
	l.check("the two of zone 1 have gone for it", err)
	changed, err := st.nw.metric(`numawise_extender_preempt_nodes_total{result="changed"}`)
	if err == nil && changed < 1 {
		err = fmt.Errorf("%v", changed)
	}
	l.check("kube-scheduler had proposed others", err)
	l.end(ctx, st, 0)
}
