// SPDX-License-Identifier: Apache-2.0

// Package fleet plays the kubelets of a cluster on a real API server. They decide about pods by
// the kubelet's own resource managers and predicates (package kubelet), report pods Running and
// Ready or Failed as a kubelet does, honour deletion, and publish NodeResourceTopology objects with
// all that decides. Nothing runs: a container is ready as soon as it is admitted.
package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// Fleet is the kubelets of some machines.
type Fleet struct {
	client     kubernetes.Interface
	topologies dynamic.ResourceInterface
	nodes      map[string]*node
	order      []*node
	options    Options
	cancel     context.CancelFunc
	running    sync.WaitGroup

	mu    sync.Mutex
	stats Stats
	bound map[types.UID]string // to which node; every pod ever seen
	err   error                // the first thing that should not happen
}

// Options are how the kubelets play.
type Options struct {
	// A topology is published after each change, and at most once in this time for each node.
	Publish time.Duration
	// Topologies as other exporters publish them, without the attributes that decide.
	Plain bool
}

// Stats counts what the kubelets have done.
type Stats struct {
	Admitted int
	Rejected map[string]int // by reason
	Crashed  int            // kubelets
	Ended    int            // pods that were admitted and are gone
	// Of the admitted pods with CPUs of their own: how many, and the sum of the mean distances from
	// their CPUs to their memory (10 = local; docs/scoring.md, Locality).
	Placed   int
	Distance float64
	// Of the admitted pods with predicted zones on them: how many got those zones. Others are those
	// before whose admission another pod has ended.
	Foretold, Elsewhere int
}

// MeanDistance is 10 where all memory is local.
func (s Stats) MeanDistance() float64 {
	return s.Distance / float64(max(1, s.Placed))
}

// Start registers the machines with the API server and begins to play.
func Start(ctx context.Context, config *rest.Config, machines []Machine, options Options) (*Fleet, error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	plain := *config
	plain.ContentType = "" // custom resources have no protobuf
	objects, err := dynamic.NewForConfig(&plain)
	if err != nil {
		return nil, err
	}
	f := &Fleet{client: client, topologies: objects.Resource(Topologies), nodes: map[string]*node{}, options: options,
		stats: Stats{Rejected: map[string]int{}}, bound: map[types.UID]string{}}
	for _, machine := range machines {
		n, err := newNode(f, machine)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", machine.Name, err)
		}
		if err := n.register(ctx); err != nil {
			return nil, fmt.Errorf("%s: %w", machine.Name, err)
		}
		f.nodes[machine.Name] = n
		f.order = append(f.order, n)
	}
	ctx, f.cancel = context.WithCancel(ctx)
	for _, n := range f.order {
		f.running.Add(2)
		go n.work(ctx)
		go n.publishChanges(ctx)
	}
	f.follow(ctx)
	return f, nil
}

// follow hands every change of a pod that is bound to one of the nodes to that node.
func (f *Fleet) follow(ctx context.Context) {
	bound := cache.NewListWatchFromClient(f.client.CoreV1().RESTClient(), "pods", v1.NamespaceAll, fields.ParseSelectorOrDie("spec.nodeName!="))
	hand := func(object any) {
		if gone, ok := object.(cache.DeletedFinalStateUnknown); ok {
			object = gone.Obj
		}
		if pod, ok := object.(*v1.Pod); ok {
			if n := f.nodes[pod.Spec.NodeName]; n != nil {
				f.once(pod)
				n.put(pod.UID)
			}
		}
	}
	store, informer := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: bound, ObjectType: &v1.Pod{},
		Handler: cache.ResourceEventHandlerFuncs{AddFunc: hand, UpdateFunc: func(_, now any) { hand(now) }, DeleteFunc: hand},
		Indexers: cache.Indexers{"uid": func(object any) ([]string, error) {
			return []string{string(object.(*v1.Pod).UID)}, nil
		}},
	})
	pods := store.(cache.Indexer)
	for _, n := range f.order {
		n.pods = pods
	}
	f.running.Add(1)
	go func() {
		defer f.running.Done()
		informer.RunWithContext(ctx)
	}()
}

// Stop ends the play; the API server's objects stay.
func (f *Fleet) Stop() error {
	f.cancel()
	f.running.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// Stats returns what was done so far.
func (f *Fleet) Stats() Stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.stats
	s.Rejected = map[string]int{}
	for reason, n := range f.stats.Rejected {
		s.Rejected[reason] = n
	}
	return s
}

// Fits returns the nodes whose kubelet would admit the pod now. Each is asked in earnest and the pod
// taken away again, which moves memory inside groups: for the end of a story.
func (f *Fleet) Fits(pod *v1.Pod) []string {
	var names []string
	for _, n := range f.order {
		if n.wouldAdmit(pod) {
			names = append(names, n.machine.Name)
		}
	}
	return names
}

// Remove deletes the nodes and their topologies from the API server, after Stop.
func (f *Fleet) Remove(ctx context.Context) error {
	for _, n := range f.order {
		err := f.client.CoreV1().Nodes().Delete(ctx, n.machine.Name, metav1.DeleteOptions{})
		if err == nil {
			err = f.topologies.Delete(ctx, n.machine.Name, metav1.DeleteOptions{})
		}
		if err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	return nil
}

// once notes where a pod is bound: it is never bound elsewhere.
func (f *Fleet) once(pod *v1.Pod) {
	f.mu.Lock()
	defer f.mu.Unlock()
	before, known := f.bound[pod.UID]
	if known && before != pod.Spec.NodeName && f.err == nil {
		f.err = fmt.Errorf("pod %s was bound to %s and then to %s", pod.Name, before, pod.Spec.NodeName)
	}
	f.bound[pod.UID] = pod.Spec.NodeName
}

func (f *Fleet) count(change func(*Stats)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.stats)
}

// wrong notes an error; those of an ending play and of objects that are gone are none.
func (f *Fleet) wrong(err error) {
	if err == nil || errors.Is(err, context.Canceled) || apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = err
	}
}

// insist does something at the API server, again and again where that cannot be reached.
func (f *Fleet) insist(ctx context.Context, do func() error) {
	err := do()
	for Unreachable(err) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(100 * time.Millisecond):
		}
		err = do()
	}
	f.wrong(err)
}

// Unreachable says whether an error tells that the API server is not there, or not yet.
func Unreachable(err error) bool {
	var status apierrors.APIStatus
	if err == nil || errors.Is(err, context.Canceled) {
		return false
	}
	if !errors.As(err, &status) {
		return true // the connection, or a reply that was cut off
	}
	// Of a starting API server: RBAC is not read yet.
	return apierrors.IsInternalError(err) || apierrors.IsServiceUnavailable(err) || apierrors.IsForbidden(err) ||
		apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err) || apierrors.IsTooManyRequests(err)
}

func (f *Fleet) patchStatus(ctx context.Context, pod *v1.Pod, status any) {
	text, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": pod.UID}, // not another pod of that name
		"status":   status,
	})
	if err != nil {
		f.wrong(err)
		return
	}
	f.insist(ctx, func() error {
		_, err := f.client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType, text, metav1.PatchOptions{}, "status")
		return err
	})
}
