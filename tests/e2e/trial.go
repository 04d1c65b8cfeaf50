// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/tools/cache"
)

// One run of kube-scheduler over all pods.
type trial struct {
	pods int
	took time.Duration // from the last pod of the warm-up to the last pod of all
	cpu  usage         // meanwhile
}

func (t *trial) podsPerSecond() float64 {
	return float64(t.pods) / t.took.Seconds()
}

// CPU time of each process.
type usage struct {
	scheduler, apiserver, etcd, extender, suite time.Duration
}

// A running extender of either kind.
type extenderServer interface {
	prefix() string // of its URLs
	// asked says how often filter and prioritize were called; an error when a call went wrong.
	asked() (filter, prioritize float64, err error)
	cpu() time.Duration
	kill()
}

func (t *throughput) clusterDir() string {
	return filepath.Join(t.work, "cluster")
}

// makeCluster writes the directory anew: topologies grow old.
func (t *throughput) makeCluster() error {
	if err := os.RemoveAll(t.clusterDir()); err != nil {
		return err
	}
	if err := os.MkdirAll(t.clusterDir(), 0o755); err != nil {
		return err
	}
	_, err := output(filepath.Join(t.bench, "synth"), "--nodes", fmt.Sprint(t.nodes), "--zones",
		fmt.Sprint(t.zones), t.clusterDir())
	return err
}

// podShapes are pods to make others like them, and those among them that want no device.
func podShapes(synth string) (all, plain []*v1.Pod, err error) {
	const shapes = 32
	text, err := output(synth, "--pods", fmt.Sprint(shapes))
	if err != nil {
		return nil, nil, err
	}
	var list v1.PodList
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, nil, err
	}
	for i := range list.Items {
		pod := &list.Items[i]
		all = append(all, pod)
		if len(pod.Spec.Containers[0].Resources.Requests) == 2 {
			plain = append(plain, pod)
		}
	}
	if len(all) != shapes || len(plain) == 0 {
		return nil, nil, fmt.Errorf("%d shapes, %d without devices", len(all), len(plain))
	}
	return all, plain, nil
}

func output(argv ...string) ([]byte, error) {
	var complaint bytes.Buffer
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", argv[0], err, complaint.String())
	}
	return out, nil
}

// try makes the pods, starts kube-scheduler, waits until all are bound, and clears up.
func (t *throughput) try(ctx context.Context, w way) (*trial, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	if err := t.makeCluster(); err != nil {
		return nil, err
	}
	setup := schedulerSetup{name: "kube-scheduler", names: true, weight: 13, managed: w.managed,
		percentage: w.percentage}
	extender, err := t.startExtender(w)
	if err != nil {
		return nil, err
	}
	if extender != nil {
		defer extender.kill()
		setup.extender = extender.prefix()
	}
	pods := t.podsOf(w)
	if err := t.createPods(ctx, pods); err != nil {
		return nil, err
	}
	defer t.deletePods(pods[0].Namespace)
	runtime.GC() // not while the pods are scheduled
	result, err := t.schedule(ctx, setup, extender, pods)
	if err == nil && extender != nil {
		err = t.askedAsExpected(extender, w)
	}
	return result, err
}

// startExtender returns nil for a way that has none.
func (t *throughput) startExtender(w way) (extenderServer, error) {
	switch {
	case w.floor:
		return t.startFloor(w.shortlist)
	case w.numawise:
		config := filepath.Join(t.work, "config.yaml")
		text := fmt.Sprintf("apiVersion: numawise.config.gokore.io/v1alpha1\nkind: NumawiseConfiguration\n"+
			"extender: {shortlist: %d, sparseScores: %v}\n", w.shortlist, w.sparse)
		if err := writeFile(config, []byte(text)); err != nil {
			return nil, err
		}
		return t.ps.startNumawise(t.binary, t.work, t.clusterDir(), "--config", config)
	}
	return nil, nil
}

func (t *throughput) podsOf(w way) []*v1.Pod {
	shapes := t.shapes
	if w.plain {
		shapes = t.plain
	}
	var pods []*v1.Pod
	for i := 0; i < t.warmUp+t.pods; i++ {
		pod := acceptable(shapes[i%len(shapes)])
		pod.Name = fmt.Sprintf("%s-%d", pod.Name, i)
		pods = append(pods, pod)
	}
	return pods
}

// createPods: one after the other in each of a few hands; all are there before kube-scheduler is.
func (t *throughput) createPods(ctx context.Context, pods []*v1.Pod) error {
	return eachOf(pods, func(pod *v1.Pod) error {
		_, err := t.cp.client.CoreV1().Pods(pod.Namespace).Create(ctx, pod, metav1.CreateOptions{})
		return err
	})
}

// eachOf works on all items in a few hands; the first error of each hand.
func eachOf[T any](items []T, work func(T) error) error {
	const hands = 4
	errs := make([]error, hands)
	var group sync.WaitGroup
	for hand := 0; hand < hands; hand++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for i := hand; i < len(items) && errs[hand] == nil; i += hands {
				errs[hand] = work(items[i])
			}
		}()
	}
	group.Wait()
	return errors.Join(errs...)
}

// deletePods leaves an empty namespace.
func (t *throughput) deletePods(namespace string) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	now := int64(0) // there is no kubelet that would end them
	pods := t.cp.client.CoreV1().Pods(namespace)
	err := pods.DeleteCollection(ctx, metav1.DeleteOptions{GracePeriodSeconds: &now}, metav1.ListOptions{})
	if err == nil {
		var left *v1.PodList
		if left, err = pods.List(ctx, metav1.ListOptions{}); err == nil && len(left.Items) > 0 {
			err = fmt.Errorf("%d pods are left", len(left.Items))
		}
	}
	t.check("the pods are deleted", err)
}

// schedule runs kube-scheduler from its start until the last pod is bound.
func (t *throughput) schedule(ctx context.Context, setup schedulerSetup, extender extenderServer, pods []*v1.Pod) (*trial, error) {
	changes, err := t.watchPods(ctx, pods)
	if err != nil {
		return nil, err
	}
	defer changes.stop()
	scheduler, err := t.cp.startScheduler(setup)
	if err != nil {
		return nil, err
	}
	defer scheduler.kill()
	recorder := newRecorder(t.clusterDir())
	defer recorder.stop()
	result, err := t.follow(changes.pods, len(pods), recorder, func() usage { return t.usage(scheduler, extender) })
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, scheduler.tail(15))
	}
	return result, complaints(scheduler)
}

// podChanges are the pods of a namespace, each time one appears or changes.
type podChanges struct {
	pods chan *v1.Pod
	stop func()
}

// watchPods returns when all pods are known. An API server ends a watch whose reader is slow, so
// it is taken up again where it ended, and lists anew where that is too long ago.
func (t *throughput) watchPods(ctx context.Context, pods []*v1.Pod) (*podChanges, error) {
	ctx, cancel := context.WithCancel(ctx)
	changes := make(chan *v1.Pod, 65536)
	tell := func(object any) {
		select {
		case changes <- object.(*v1.Pod):
		case <-ctx.Done():
		}
	}
	store, controller := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: cache.NewListWatchFromClient(t.cp.client.CoreV1().RESTClient(), "pods", pods[0].Namespace, fields.Everything()),
		ObjectType:    &v1.Pod{},
		Handler:       cache.ResourceEventHandlerFuncs{AddFunc: tell, UpdateFunc: func(_, now any) { tell(now) }},
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		controller.RunWithContext(ctx)
	}()
	stop := func() {
		cancel()
		<-done
	}
	if !cache.WaitForCacheSync(ctx.Done(), controller.HasSynced) || len(store.List()) != len(pods) {
		stop()
		return nil, fmt.Errorf("%d pods instead of %d", len(store.List()), len(pods))
	}
	return &podChanges{changes, stop}, nil
}

// follow counts bound pods, and writes each into numawise's directory, as a watch would tell it.
func (t *throughput) follow(changes <-chan *v1.Pod, want int, recorder *recorder, now func() usage) (*trial, error) {
	result := &trial{pods: want - t.warmUp}
	bound := map[string]bool{}
	var start time.Time
	var before usage
	patience := time.NewTimer(2 * time.Minute)
	for len(bound) < want {
		select {
		case <-patience.C:
			return nil, fmt.Errorf("%d of %d pods were bound, then none for two minutes", len(bound), want)
		case pod := <-changes:
			if c := scheduled(pod); c.Status == v1.ConditionFalse && pod.Spec.NodeName == "" {
				return nil, fmt.Errorf("pod %s: %s", pod.Name, c.Message)
			}
			if pod.Spec.NodeName == "" || bound[pod.Name] {
				continue
			}
			bound[pod.Name] = true
			patience.Reset(2 * time.Minute)
			recorder.add(pod)
			if len(bound) == t.warmUp {
				start, before = time.Now(), now()
			}
		}
	}
	result.took, result.cpu = time.Since(start), now().since(before)
	return result, nil
}

// complaints are errors in kube-scheduler's log, whose lines begin with E.
func complaints(scheduler *process) error {
	text, err := os.ReadFile(scheduler.logPath)
	if err != nil {
		return err
	}
	for _, line := range strings.Split(string(text), "\n") {
		if strings.HasPrefix(line, "E") && strings.Contains(strings.ToLower(line), "extender") {
			return errors.New(line)
		}
	}
	return nil
}

// askedAsExpected: each pod was asked about once, or, where it is kept off the extender, never.
func (t *throughput) askedAsExpected(extender extenderServer, w way) error {
	filters, prioritizes, err := extender.asked()
	if err != nil {
		return err
	}
	want := float64(t.pods + t.warmUp)
	if len(w.managed) > 0 && w.plain {
		want = 0
	}
	if filters != want || (want > 0) != (prioritizes > 0) || prioritizes > want {
		return fmt.Errorf("filter was called %v times, prioritize %v times, for %v pods", filters, prioritizes, want)
	}
	return nil
}

// The floor extender, bench/floor.
type floorExtender struct {
	*process
	url string
}

func (t *throughput) startFloor(first int) (*floorExtender, error) {
	file := filepath.Join(t.work, "floor.json")
	_ = os.Remove(file) // of the one before
	p, err := t.ps.start("floor", filepath.Join(t.work, "floor.log"), filepath.Join(t.bench, "floor"),
		"--first", fmt.Sprint(first), "--addresses-file", file)
	if err != nil {
		return nil, err
	}
	var addresses struct{ Extender string }
	err = p.waitFor("addresses file", 10*time.Second, func() bool {
		text, err := os.ReadFile(file)
		return err == nil && json.Unmarshal(text, &addresses) == nil
	})
	return &floorExtender{p, addresses.Extender}, err
}

func (f *floorExtender) prefix() string {
	return f.url
}

func (f *floorExtender) asked() (float64, float64, error) {
	var counts struct{ Filter, Prioritize, Odd float64 }
	at, err := url.Parse(f.url)
	if err != nil {
		return 0, 0, err
	}
	text, err := get(at, "/")
	if err == nil {
		err = json.Unmarshal(text, &counts)
	}
	if err == nil && counts.Odd != 0 {
		err = fmt.Errorf("%v odd calls", counts.Odd)
	}
	return counts.Filter, counts.Prioritize, err
}

func (nw *numawise) prefix() string {
	return nw.extender.String()
}

func (nw *numawise) asked() (filter, prioritize float64, err error) {
	if err = nw.onlyOK(); err == nil {
		filter, err = nw.metric(`numawise_extender_requests_total{verb="filter",code="200"}`)
	}
	if err == nil {
		prioritize, err = nw.metric(`numawise_extender_requests_total{verb="prioritize",code="200"}`)
	}
	return filter, prioritize, err
}

// A recorder writes bound pods into numawise's directory, aside of whoever watches.
type recorder struct {
	pods chan *v1.Pod
	done chan struct{}
}

func newRecorder(cluster string) *recorder {
	r := &recorder{pods: make(chan *v1.Pod, 65536), done: make(chan struct{})}
	go func() {
		defer close(r.done)
		for pod := range r.pods {
			_ = recordPod(cluster, pod)
		}
	}()
	return r
}

func (r *recorder) add(pod *v1.Pod) {
	r.pods <- pod
}

func (r *recorder) stop() {
	close(r.pods)
	<-r.done
}

func (t *throughput) usage(scheduler *process, extender extenderServer) usage {
	u := usage{scheduler: scheduler.cpu(), apiserver: t.cp.apiserver.cpu(), etcd: t.cp.etcd.cpu()}
	if extender != nil {
		u.extender = extender.cpu()
	}
	var own syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &own) == nil {
		u.suite = time.Duration(own.Utime.Nano() + own.Stime.Nano())
	}
	return u
}

func (u usage) since(before usage) usage {
	return usage{u.scheduler - before.scheduler, u.apiserver - before.apiserver, u.etcd - before.etcd,
		u.extender - before.extender, u.suite - before.suite}
}

// cpu is what all threads of the process have used so far, to the nanosecond (clock_getcpuclockid).
func (p *process) cpu() time.Duration {
	var at syscall.Timespec
	clock := ^p.cmd.Process.Pid<<3 | 2
	_, _, errno := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, uintptr(clock), uintptr(unsafe.Pointer(&at)), 0)
	if errno != 0 {
		return 0
	}
	return time.Duration(at.Nano())
}
