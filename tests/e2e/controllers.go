// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	v1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"numawise.dev/tests/fleet"
	"numawise.dev/tests/kubelet"
)

// playControllers: a Deployment lives on kubelets that decide for themselves.
func (l *live) playControllers(ctx context.Context) {
	config := kubelet.Config{TopologyManagerPolicy: "single-numa-node", TopologyManagerScope: "container",
		CPUManagerPolicy: "static", MemoryManagerPolicy: "Static"}
	machine := fleet.Regular{Zones: 2, ZonesPerSocket: 1, Cores: 4, Threads: 1, MemoryGiB: 16}.Describe(config)
	var machines []fleet.Machine
	for i := range 2 {
		machines = append(machines, fleet.Machine{Name: fmt.Sprintf("controlled-%d", i), Kind: "two-zones", Kubelet: machine})
	}
	st, err := l.set(ctx, staging{name: "controlled", machines: machines, numawise: true, scheduler: "config.yaml",
		kubelets: fleet.Options{Publish: 20 * time.Millisecond}})
	if !l.check("two kubelets register and publish, numawise and kube-scheduler start", err) {
		return
	}
	namespace := st.name

	// 3 CPUs each: zone 0 of each node has 3, zone 1 has 4.
	l.check("a Deployment of three pods of 3 CPUs is ready", l.deploy(ctx, namespace, 3))
	l.check("a deleted pod is confirmed by its kubelet and replaced", l.deleteOne(ctx, namespace))
	l.check("an eviction is granted, the next one refused until the budget is met again", l.evict(ctx, namespace))
	l.check("a pod that is bound past the scheduler is failed by its kubelet, with the kubelet's reason", l.bindPast(ctx, namespace, machines[0].Name))
	err = st.strike(ctx)
	if stats := st.kubelets.Stats(); stats.Rejected["TopologyAffinityError"] != 1 || len(stats.Rejected) != 1 {
		err = errors.Join(err, fmt.Errorf("%+v", stats))
	}
	l.check("the namespace is emptied; the kubelets refused that pod and no other", err)
}

var controlled = map[string]string{"app": "controlled"}

func (l *live) deploy(ctx context.Context, namespace string, replicas int32) error {
	_, err := l.cp.client.AppsV1().Deployments(namespace).Create(ctx, &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "app"},
		Spec: appsv1.DeploymentSpec{Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: controlled},
			Template: v1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: controlled}, Spec: guaranteed(3)}},
	}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	return l.ready(ctx, namespace, replicas)
}

func (l *live) ready(ctx context.Context, namespace string, replicas int32) error {
	return eventually(60*time.Second, func() error {
		d, err := l.cp.client.AppsV1().Deployments(namespace).Get(ctx, "app", metav1.GetOptions{})
		if err == nil && (d.Status.ReadyReplicas != replicas || d.Status.Replicas != replicas) {
			err = fmt.Errorf("%d of %d pods are ready", d.Status.ReadyReplicas, d.Status.Replicas)
		}
		return err
	})
}

func (l *live) podsOf(ctx context.Context, namespace string) ([]v1.Pod, error) {
	list, err := l.cp.client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=controlled"})
	if err != nil {
		return nil, err
	}
	if len(list.Items) == 0 {
		return nil, errors.New("there are no pods")
	}
	return list.Items, nil
}

func (l *live) deleteOne(ctx context.Context, namespace string) error {
	pods, err := l.podsOf(ctx, namespace)
	if err != nil {
		return err
	}
	if err := l.cp.client.CoreV1().Pods(namespace).Delete(ctx, pods[0].Name, metav1.DeleteOptions{}); err != nil {
		return err
	}
	err = eventually(30*time.Second, func() error {
		_, err := l.cp.client.CoreV1().Pods(namespace).Get(ctx, pods[0].Name, metav1.GetOptions{})
		if err == nil {
			return errors.New("it is still there")
		}
		return ignoreAbsent(err)
	})
	return errors.Join(err, l.ready(ctx, namespace, 3))
}

func (l *live) evict(ctx context.Context, namespace string) error {
	two := intstr.FromInt32(2)
	budgets := l.cp.client.PolicyV1().PodDisruptionBudgets(namespace)
	_, err := budgets.Create(ctx, &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Name: "app"},
		Spec: policyv1.PodDisruptionBudgetSpec{MinAvailable: &two, Selector: &metav1.LabelSelector{MatchLabels: controlled}}}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	err = eventually(30*time.Second, func() error {
		b, err := budgets.Get(ctx, "app", metav1.GetOptions{})
		if err == nil && b.Status.DisruptionsAllowed != 1 {
			err = fmt.Errorf("%d disruptions are allowed", b.Status.DisruptionsAllowed)
		}
		return err
	})
	if err != nil {
		return err
	}
	pods, err := l.podsOf(ctx, namespace)
	if err != nil {
		return err
	}
	one := func(name string) error {
		return l.cp.client.PolicyV1().Evictions(namespace).Evict(ctx, &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace}})
	}
	if err := one(pods[0].Name); err != nil {
		return err
	}
	if err := one(pods[1].Name); !apierrors.IsTooManyRequests(err) {
		return fmt.Errorf("the second eviction: %v", err)
	}
	return l.ready(ctx, namespace, 3)
}

// bindPast makes a pod for a node that has its CPUs in two zones only.
func (l *live) bindPast(ctx context.Context, namespace, node string) error {
	spec := guaranteed(5)
	spec.NodeName = node
	pods := l.cp.client.CoreV1().Pods(namespace)
	if _, err := pods.Create(ctx, &v1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "past"}, Spec: spec}, metav1.CreateOptions{}); err != nil {
		return err
	}
	return eventually(30*time.Second, func() error {
		pod, err := pods.Get(ctx, "past", metav1.GetOptions{})
		if err == nil && (pod.Status.Phase != v1.PodFailed || pod.Status.Reason != "TopologyAffinityError" ||
			pod.Status.Message != "Pod was rejected: Resources cannot be allocated with Topology locality") {
			err = fmt.Errorf("%s %q %q", pod.Status.Phase, pod.Status.Reason, pod.Status.Message)
		}
		return err
	})
}
