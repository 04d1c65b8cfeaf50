// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"numawise.dev/tests/fleet"
	"numawise.dev/tests/kubelet"
)

// A staging says what a scenario needs.
type staging struct {
	name      string // the namespace; part of the nodes' names
	machines  []fleet.Machine
	kubelets  fleet.Options
	numawise  bool   // false: kube-scheduler alone
	settings  string // of numawise
	scheduler string // the file of deploy/kube-scheduler
	edit      func(extender map[string]any)
}

// A stage is kubelets, a namespace, numawise and a kube-scheduler: the nodes are there while the
// scenario is played, and nobody else's.
type stage struct {
	staging
	l         *live
	kubelets  *fleet.Fleet
	nw        *numawise
	scheduler *process
}

// set builds a stage; what a failure leaves is taken away.
func (l *live) set(ctx context.Context, s staging) (*stage, error) {
	st := &stage{staging: s, l: l}
	err := st.build(ctx)
	if err != nil {
		return nil, errors.Join(err, st.strike(ctx))
	}
	return st, nil
}

func (st *stage) build(ctx context.Context) error {
	var err error
	if err = st.l.makeNamespace(ctx, st.name); err != nil {
		return err
	}
	if st.kubelets, err = fleet.Start(ctx, st.l.cp.config, st.machines, st.staging.kubelets); err != nil {
		return err
	}
	if st.numawise {
		if st.nw, err = st.l.serveLive(st.settings, "127.0.0.1:0"); err != nil {
			return err
		}
	}
	return st.startScheduler(st.edit)
}

func (st *stage) startScheduler(edit func(map[string]any)) error {
	setup := shippedSetup{name: "kube-scheduler " + st.name, file: filepath.Join(st.l.source, "deploy", "kube-scheduler", st.staging.scheduler), edit: edit}
	if st.nw != nil {
		setup.extender = st.nw.extender.String()
	}
	var err error
	st.scheduler, err = st.l.cp.startShipped(setup)
	return err
}

// restart replaces a numawise that was killed, at the same address.
func (st *stage) restart() error {
	nw, err := st.l.serveLive(st.settings, st.nw.extender.Host)
	if err == nil {
		st.nw = nw
	}
	return err
}

// strike takes a stage away. The error may also be one that the kubelets met.
func (st *stage) strike(ctx context.Context) error {
	if st.scheduler != nil {
		st.scheduler.kill()
	}
	if st.nw != nil {
		st.nw.kill()
	}
	err := st.l.removeNamespace(ctx, st.name)
	if st.kubelets != nil {
		err = errors.Join(err, st.kubelets.Stop(), st.kubelets.Remove(ctx))
		if n := st.kubelets.Stats().Crashed; n > 0 {
			err = errors.Join(err, fmt.Errorf("%d kubelets crashed", n))
		}
	}
	return err
}

// serveLive starts numawise over the API server and waits until it has read everything.
func (l *live) serveLive(settings, address string) (*numawise, error) {
	kubeconfig := filepath.Join(l.work, "numawise.kubeconfig")
	if err := writeFile(kubeconfig, []byte(l.cp.kubeconfig("numawise"))); err != nil {
		return nil, err
	}
	config := filepath.Join(l.work, "numawise.yaml")
	text := "apiVersion: numawise.config.gokore.io/v1alpha1\nkind: NumawiseConfiguration\n" + settings
	if err := writeFile(config, []byte(text)); err != nil {
		return nil, err
	}
	nw, err := l.ps.serve(l.binary, l.work, address, "--kubeconfig", kubeconfig, "--config", config)
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

func (l *live) makeNamespace(ctx context.Context, name string) error {
	_, err := l.cp.client.CoreV1().Namespaces().Create(ctx, &v1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	return eventually(30*time.Second, func() error {
		_, err := l.cp.client.CoreV1().ServiceAccounts(name).Get(ctx, "default", metav1.GetOptions{})
		return err
	})
}

// removeNamespace returns when no pod is left in it. Nobody waits for kubelets.
func (l *live) removeNamespace(ctx context.Context, name string) error {
	err := l.cp.client.CoreV1().Namespaces().Delete(ctx, name, metav1.DeleteOptions{})
	if err != nil {
		return ignoreAbsent(err)
	}
	now := int64(0)
	pods := l.cp.client.CoreV1().Pods(name)
	return eventually(3*time.Minute, func() error {
		if err := pods.DeleteCollection(ctx, metav1.DeleteOptions{GracePeriodSeconds: &now}, metav1.ListOptions{}); err != nil {
			return err
		}
		list, err := pods.List(ctx, metav1.ListOptions{})
		if err == nil && len(list.Items) > 0 {
			err = fmt.Errorf("%d pods are left in namespace %s", len(list.Items), name)
		}
		return err
	})
}

// One machine of two zones with 8 CPUs each, one of them reserved in zone 0: so a pod of 8 fits
// zone 1 only, and one of 9 no zone.
func oneMachine(name string) []fleet.Machine {
	config := kubelet.Config{TopologyManagerPolicy: "single-numa-node", TopologyManagerScope: "container",
		CPUManagerPolicy: "static", MemoryManagerPolicy: "Static"}
	return []fleet.Machine{{Name: name + "-0", Kind: "two-zones",
		Kubelet: fleet.Regular{Zones: 2, ZonesPerSocket: 1, Cores: 8, Threads: 1, MemoryGiB: 16}.Describe(config)}}
}

// guaranteed is a pod of so many CPUs of its own.
func guaranteed(cpus int64) v1.PodSpec {
	amounts := v1.ResourceList{v1.ResourceCPU: *resource.NewQuantity(cpus, resource.DecimalSI), v1.ResourceMemory: resource.MustParse("1Gi")}
	return v1.PodSpec{Containers: []v1.Container{{Name: "main", Image: "none", Resources: v1.ResourceRequirements{Limits: amounts, Requests: amounts}}}}
}

func (st *stage) create(ctx context.Context, name string, spec v1.PodSpec) error {
	_, err := st.l.cp.client.CoreV1().Pods(st.name).Create(ctx, &v1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec}, metav1.CreateOptions{})
	return err
}

// ends creates a pod and waits until it is in this phase, for this reason.
func (st *stage) ends(ctx context.Context, name string, spec v1.PodSpec, phase v1.PodPhase, reason string) error {
	if err := st.create(ctx, name, spec); err != nil {
		return err
	}
	return st.is(ctx, name, phase, reason, soon)
}

// What happens soon has happened after this: kube-scheduler waits up to 10 s before it tries again.
const soon = 40 * time.Second

func (st *stage) is(ctx context.Context, name string, phase v1.PodPhase, reason string, patience time.Duration) error {
	return eventually(patience, func() error {
		pod, err := st.l.cp.client.CoreV1().Pods(st.name).Get(ctx, name, metav1.GetOptions{})
		if err == nil && (pod.Status.Phase != phase || pod.Status.Reason != reason) {
			err = fmt.Errorf("pod %s is %s %q, PodScheduled says %q", name, pod.Status.Phase, pod.Status.Reason, scheduled(pod).Message)
		}
		return err
	})
}

// waits: no node for the pod yet, and its condition and an event have this text.
func (st *stage) waits(ctx context.Context, name, text string) error {
	return eventually(30*time.Second, func() error {
		pod, err := st.l.cp.client.CoreV1().Pods(st.name).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if pod.Spec.NodeName != "" || !strings.Contains(scheduled(pod).Message, text) {
			return fmt.Errorf("pod %s is on %q, PodScheduled says %q", name, pod.Spec.NodeName, scheduled(pod).Message)
		}
		events, err := st.l.cp.client.EventsV1().Events(st.name).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, e := range events.Items {
			if e.Regarding.Name == name && e.Reason == "FailedScheduling" && strings.Contains(e.Note, text) {
				return nil
			}
		}
		return errors.New("no event says so")
	})
}

func (st *stage) remove(ctx context.Context, name string) error {
	pods := st.l.cp.client.CoreV1().Pods(st.name)
	if err := pods.Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
		return err
	}
	return eventually(30*time.Second, func() error {
		_, err := pods.Get(ctx, name, metav1.GetOptions{})
		if err == nil {
			return fmt.Errorf("pod %s is still there", name)
		}
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	})
}
