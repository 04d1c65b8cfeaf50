// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"context"
	"fmt"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	resourcehelper "k8s.io/component-helpers/resource"
	"k8s.io/kubernetes/pkg/kubelet/lifecycle"
	"numawise.dev/tests/kubelet"
)

// node is one kubelet.
type node struct {
	fleet   *Fleet
	machine Machine
	object  *v1.Node
	pods    cache.Indexer // what the API server says of bound pods, by uid

	// todo are the pods of which something is new, in the order in which it came.
	todo    []types.UID
	waiting map[types.UID]bool
	wake    chan struct{}
	todoMu  sync.Mutex

	mu         sync.Mutex // of what follows: the managers, and what is published of them
	kubelet    *kubelet.Kubelet
	predicates lifecycle.PodAdmitHandler
	known      map[types.UID]*v1.Pod // admitted or rejected, and not deleted
	dead       string                // what the kubelet died of
	changed    chan struct{}

	published string // the version of the topology; of one goroutine at a time
}

func newNode(f *Fleet, machine Machine) (*node, error) {
	k, err := kubelet.New(machine.Kubelet)
	if err != nil {
		return nil, err
	}
	n := &node{fleet: f, machine: machine, object: machine.object(), kubelet: k, waiting: map[types.UID]bool{},
		wake: make(chan struct{}, 1), known: map[types.UID]*v1.Pod{}, changed: make(chan struct{}, 1)}
	n.predicates = lifecycle.NewPredicateAdmitHandler(
		func(context.Context, bool) (*v1.Node, error) { return n.object, nil },
		lifecycle.NewAdmissionFailureHandlerStub(), k.UpdatePluginResources)
	return n, nil
}

// register creates the Node, or takes over the one of an earlier fleet, and its topology.
func (n *node) register(ctx context.Context) error {
	nodes := n.fleet.client.CoreV1().Nodes()
	created, err := nodes.Create(ctx, n.object, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		created, err = nodes.Get(ctx, n.object.Name, metav1.GetOptions{})
	}
	if err != nil {
		return err
	}
	created.Status = n.object.Status
	if n.object, err = nodes.UpdateStatus(ctx, created, metav1.UpdateOptions{}); err != nil {
		return err
	}
	return n.publish(ctx)
}

// put says that there is news of a pod.
func (n *node) put(uid types.UID) {
	n.todoMu.Lock()
	if !n.waiting[uid] {
		n.waiting[uid] = true
		n.todo = append(n.todo, uid)
	}
	n.todoMu.Unlock()
	ring(n.wake)
}

func ring(bell chan struct{}) {
	select {
	case bell <- struct{}{}:
	default:
	}
}

func (n *node) take() (types.UID, bool) {
	n.todoMu.Lock()
	defer n.todoMu.Unlock()
	if len(n.todo) == 0 {
		return "", false
	}
	uid := n.todo[0]
	n.todo = n.todo[1:]
	delete(n.waiting, uid)
	return uid, true
}

// work is the kubelet's loop: one pod after the other.
func (n *node) work(ctx context.Context) {
	defer n.fleet.running.Done()
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.wake:
		}
		for uid, some := n.take(); some && ctx.Err() == nil; uid, some = n.take() {
			n.sync(ctx, uid)
		}
	}
}

// sync does what is to be done for a pod.
func (n *node) sync(ctx context.Context, uid types.UID) {
	var pod *v1.Pod
	if found, err := n.pods.ByIndex("uid", string(uid)); err == nil && len(found) == 1 {
		pod = found[0].(*v1.Pod)
	}
	n.mu.Lock()
	known := n.known[uid]
	dead := n.dead != ""
	n.mu.Unlock()
	over := pod != nil && (pod.Status.Phase == v1.PodFailed || pod.Status.Phase == v1.PodSucceeded)
	switch {
	case dead:
	case pod == nil || over:
		n.end(uid)
		if pod == nil {
			n.mu.Lock()
			delete(n.known, uid)
			n.mu.Unlock()
		} else if pod.DeletionTimestamp != nil {
			n.confirm(ctx, pod)
		}
	case pod.DeletionTimestamp != nil:
		n.end(uid)
		n.confirm(ctx, pod)
	case known == nil:
		n.admit(ctx, pod)
	}
}

// end: the containers are gone.
func (n *node) end(uid types.UID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	before := len(n.kubelet.Active())
	n.kubelet.End(string(uid))
	if len(n.kubelet.Active()) == before {
		return
	}
	n.kubelet.Settle() // the cleanup that runs every two seconds
	n.fleet.count(func(s *Stats) { s.Ended++ })
	ring(n.changed)
}

// confirm deletes the object of a pod whose containers are gone.
func (n *node) confirm(ctx context.Context, pod *v1.Pod) {
	now := int64(0)
	n.fleet.insist(ctx, func() error {
		return n.fleet.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name,
			metav1.DeleteOptions{GracePeriodSeconds: &now, Preconditions: &metav1.Preconditions{UID: &pod.UID}})
	})
}

// decide asks the kubelet's managers and then its predicates, as the kubelet does.
func (n *node) decide(pod *v1.Pod) (result lifecycle.PodAdmitResult) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.known[pod.UID] = pod
	defer func() {
		if died := recover(); died != nil {
			n.dead = fmt.Sprint(died)
			result = lifecycle.PodAdmitResult{}
		}
	}()
	others := n.kubelet.Active()
	result = n.kubelet.Admit(pod)
	if result.Admit {
		result = n.predicates.Admit(&lifecycle.PodAdmitAttributes{Pod: pod, OtherPods: others})
		if !result.Admit {
			n.kubelet.End(string(pod.UID)) // what it holds goes with the next admission
		}
	}
	if result.Admit {
		n.kubelet.Start(string(pod.UID))
	}
	return result
}

func (n *node) admit(ctx context.Context, pod *v1.Pod) {
	result := n.decide(pod)
	ring(n.changed)
	switch {
	case n.dead != "":
		n.fleet.count(func(s *Stats) { s.Crashed++ })
	case result.Admit:
		n.mu.Lock()
		held := n.kubelet.Containers(pod)
		n.mu.Unlock()
		far, placed := distance(n.machine.Kubelet, held)
		predicted, as, err := foretold(n.machine.Kubelet, pod, held)
		n.fleet.wrong(err)
		n.fleet.count(func(s *Stats) {
			s.Admitted++
			if placed {
				s.Placed++
				s.Distance += far
			}
			switch {
			case predicted == "":
			case predicted == as:
				s.Foretold++
			default:
				s.Elsewhere++
			}
		})
		n.fleet.patchStatus(ctx, pod, ready(pod))
	default:
		n.fleet.count(func(s *Stats) { s.Rejected[result.Reason]++ })
		n.fleet.patchStatus(ctx, pod, map[string]any{
			"phase": v1.PodFailed, "reason": result.Reason, "message": "Pod was rejected: " + result.Message,
			"startTime": metav1.Now()})
	}
}

// wouldAdmit: see Fleet.Fits.
func (n *node) wouldAdmit(pod *v1.Pod) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.dead != "" {
		return false
	}
	// A kubelet admits what asks for a resource that it has never heard of; kube-scheduler does not.
	for name := range resourcehelper.PodRequests(pod, resourcehelper.PodResourcesOptions{}) {
		if _, has := n.object.Status.Allocatable[name]; !has {
			return false
		}
	}
	trial := pod.DeepCopy()
	trial.UID += "-trial"
	attrs := &lifecycle.PodAdmitAttributes{Pod: trial, OtherPods: n.kubelet.Active()}
	if !n.predicates.Admit(attrs).Admit || !n.kubelet.Admit(trial).Admit {
		n.kubelet.Settle()
		return false
	}
	n.kubelet.Remove(string(trial.UID))
	return true
}

// ready is the status of a pod whose containers run and answer.
func ready(pod *v1.Pod) v1.PodStatus {
	now := metav1.Now()
	status := v1.PodStatus{Phase: v1.PodRunning, StartTime: &now, PodIP: "10.0.0.1", PodIPs: []v1.PodIP{{IP: "10.0.0.1"}}, HostIP: "127.0.0.1",
		HostIPs: []v1.HostIP{{IP: "127.0.0.1"}}}
	for _, kind := range []v1.PodConditionType{v1.PodReadyToStartContainers, v1.PodInitialized, v1.ContainersReady, v1.PodReady} {
		status.Conditions = append(status.Conditions, v1.PodCondition{Type: kind, Status: v1.ConditionTrue, LastTransitionTime: now})
	}
	yes := true
	started := func(c v1.Container) v1.ContainerStatus {
		return v1.ContainerStatus{Name: c.Name, Image: c.Image, Ready: true, Started: &yes, ContainerID: "fleet://" + string(pod.UID) + "/" + c.Name,
			State: v1.ContainerState{Running: &v1.ContainerStateRunning{StartedAt: now}}}
	}
	for _, c := range pod.Spec.InitContainers {
		s := started(c)
		if c.RestartPolicy == nil || *c.RestartPolicy != v1.ContainerRestartPolicyAlways {
			s.State = v1.ContainerState{Terminated: &v1.ContainerStateTerminated{Reason: "Completed", StartedAt: now, FinishedAt: now}}
		}
		status.InitContainerStatuses = append(status.InitContainerStatuses, s)
	}
	for _, c := range pod.Spec.Containers {
		status.ContainerStatuses = append(status.ContainerStatuses, started(c))
	}
	return status
}

// publishChanges publishes the topology after changes, not too often.
func (n *node) publishChanges(ctx context.Context) {
	defer n.fleet.running.Done()
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.changed:
		}
		n.fleet.insist(ctx, func() error { return n.publish(ctx) })
		select {
		case <-ctx.Done():
			return
		case <-time.After(n.fleet.options.Publish):
		}
	}
}

func (n *node) publish(ctx context.Context) error {
	n.mu.Lock()
	if n.dead != "" {
		n.mu.Unlock()
		return nil
	}
	wanted := topology(n.machine.Name, n.kubelet, 1, time.Now(), n.fleet.options.Plain)
	n.mu.Unlock()
	wanted.SetResourceVersion(n.published)
	put := n.fleet.topologies.Update
	if n.published == "" {
		put = func(ctx context.Context, o *unstructured.Unstructured, _ metav1.UpdateOptions, _ ...string) (*unstructured.Unstructured, error) {
			return n.fleet.topologies.Create(ctx, o, metav1.CreateOptions{})
		}
	}
	is, err := put(ctx, wanted, metav1.UpdateOptions{})
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) { // by a call that was cut off
		if is, err = n.fleet.topologies.Get(ctx, n.machine.Name, metav1.GetOptions{}); err == nil {
			wanted.SetResourceVersion(is.GetResourceVersion())
			is, err = n.fleet.topologies.Update(ctx, wanted, metav1.UpdateOptions{})
		}
	}
	if err == nil {
		n.published = is.GetResourceVersion()
	}
	return err
}
