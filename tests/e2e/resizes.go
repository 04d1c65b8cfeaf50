// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const resizes = "resizes"

// playResizes: the operator resizes a pod by the rules that are shipped for it, for whom RBAC lets do so himself, and for nobody else. The suite is the pod's kubelet.
func (l *live) playResizes(ctx context.Context) {
	objects, err := loadObjects(filepath.Join(l.source, "deploy", "manifests", "resize", "rbac.yaml"))
	for _, o := range objects {
		err = errors.Join(err, l.cp.postManifest(ctx, o, false))
	}
	_, err2 := l.cp.post(ctx, ourAPI+"/concurrencypolicies", []byte(`{"apiVersion":"orchestration.gokore.io/v1beta1","kind":"ConcurrencyPolicy","metadata":{"name":"e2e-resizes"},
		"spec":{"precedence":10,"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"resizes"}},"adjustment":{"mode":"Enforce"}}}`))
	if !l.check("what is shipped for resizing, and a policy that says so for a namespace", errors.Join(err, err2, l.makeNamespace(ctx, resizes))) {
		return
	}
	asks := rbacv1.PolicyRule{Verbs: []string{"get", "create", "update"}, APIGroups: []string{"orchestration.gokore.io"}, Resources: []string{"resourceadjustments"}}
	may := rbacv1.PolicyRule{Verbs: []string{"patch"}, APIGroups: []string{""}, Resources: []string{"pods/resize"}}
	err = errors.Join(l.makeAccount(ctx, resizes, "clerk"), l.makeAccount(ctx, resizes, "thief"),
		l.allow(ctx, resizes, "clerk", resizes, asks, may), l.allow(ctx, resizes, "thief", resizes, asks), l.makeResized(ctx))
	clerk, err2 := l.token(ctx, resizes, "clerk", nil, "numawise")
	thief, err3 := l.token(ctx, resizes, "thief", nil, "numawise")
	if !l.check("a pod on a node, and two who ask for other resources, of whom one may resize it himself", errors.Join(err, err2, err3)) {
		return
	}
	o, err := l.startOperatorThat("operator-resizes", "Enforce")
	if !l.check("an operator starts, with operator.act: Enforce", err) {
		return
	}
	defer o.kill()
	const calls, stored = "/v1/resource-adjustments/resizes", ourAPI + "/namespaces/resizes/resourceadjustments/"
	const wanted = `{"metadata":{"name":"first"},"spec":{"target":{"name":"web"},"cpuShares":512}}`
	l.check("who may not gets nothing by it", errors.Join(
		eventually(40*time.Second, func() error { return o.answers(202, thief, "POST", calls, wanted) }),
		l.stored(ctx, stored+"first", `"reason":"RequesterMayNot"`), l.hasCPU(ctx, "250m")))
	_, err = l.cp.post(ctx, ourAPI+"/namespaces/resizes/resourceadjustments", []byte(`{"apiVersion":"orchestration.gokore.io/v1beta1","kind":"ResourceAdjustment",
		"metadata":{"name":"applied"},"spec":{"target":{"name":"web"},"memoryMB":256}}`))
	l.check("an object that somebody applies gets nothing either, not even of an administrator", errors.Join(err,
		l.stored(ctx, stored+"applied", `"reason":"NotAskedFor"`), l.hasCPU(ctx, "250m")))
	l.check("who may asks for the same, and the API server has the pod so", errors.Join(
		o.answers(202, clerk, "POST", calls+"/first/accept", ""), l.stored(ctx, stored+"first", `"outcome":"Requested"`, `"requestedBy":"system:serviceaccount:resizes:clerk"`), l.hasCPU(ctx, "500m")))
	l.check("when its kubelet has granted it, it is Applied", errors.Join(l.kubeletSays(ctx, "500m", false), l.stored(ctx, stored+"first", `"outcome":"Applied"`)))
	l.check("an Event at the pod tells of it", eventually(10*time.Second, func() error {
		text, err := l.cp.get(ctx, "/apis/events.k8s.io/v1/namespaces/resizes/events", "application/json")
		if err == nil && !strings.Contains(string(text), `"reason":"PodResized"`) {
			err = fmt.Errorf("%s", text)
		}
		return err
	}))
	l.check("more, of which its kubelet says that it is infeasible, is given back", errors.Join(
		o.answers(202, clerk, "POST", calls, `{"metadata":{"name":"second"},"spec":{"target":{"name":"web"},"cpuShares":2048}}`),
		l.stored(ctx, stored+"second", `"outcome":"Requested"`), l.hasCPU(ctx, "2"), l.kubeletSays(ctx, "500m", true),
		l.stored(ctx, stored+"second", `"outcome":"Reverted"`, `"reason":"KubeletInfeasible"`, `"outcome":"Infeasible"`), l.hasCPU(ctx, "500m")))
	l.check("it ends in good order", o.terminate(20*time.Second))
	l.check("the namespace goes", errors.Join(l.removeNamespace(ctx, resizes), l.cp.client.CoreV1().Nodes().Delete(ctx, resizes, metav1.DeleteOptions{})))
}

// makeResized makes a node of eight CPUs and a Burstable pod that runs there.
func (l *live) makeResized(ctx context.Context) error {
	room := v1.ResourceList{v1.ResourceCPU: resource.MustParse("8"), v1.ResourceMemory: resource.MustParse("16Gi"), v1.ResourcePods: resource.MustParse("110")}
	_, err := l.cp.client.CoreV1().Nodes().Create(ctx, &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: resizes}, Spec: v1.NodeSpec{Unschedulable: true},
		Status: v1.NodeStatus{Capacity: room, Allocatable: room}}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	requests := v1.ResourceList{v1.ResourceCPU: resource.MustParse("250m"), v1.ResourceMemory: resource.MustParse("128Mi")}
	_, err = l.cp.client.CoreV1().Pods(resizes).Create(ctx, &v1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: v1.PodSpec{NodeName: resizes, Containers: []v1.Container{{Name: "main", Image: "none", Resources: v1.ResourceRequirements{Requests: requests}}}}}, metav1.CreateOptions{})
	return errors.Join(err, l.kubeletSays(ctx, "250m", false))
}

// kubeletSays writes what a kubelet would that has granted so much CPU, and will not grant what is asked for now.
func (l *live) kubeletSays(ctx context.Context, cpu string, infeasible bool) error {
	pods := l.cp.client.CoreV1().Pods(resizes)
	return eventually(10*time.Second, func() error {
		pod, err := pods.Get(ctx, "web", metav1.GetOptions{})
		if err != nil {
			return err
		}
		pod.Status.Phase = v1.PodRunning
		pod.Status.Conditions = nil
		if infeasible {
			pod.Status.Conditions = []v1.PodCondition{{Type: v1.PodResizePending, Status: v1.ConditionTrue, Reason: v1.PodReasonInfeasible, Message: "the suite says so"}}
		}
		granted := v1.ResourceList{v1.ResourceCPU: resource.MustParse(cpu), v1.ResourceMemory: resource.MustParse("128Mi")}
		pod.Status.ContainerStatuses = []v1.ContainerStatus{{Name: "main", Image: "none", AllocatedResources: granted, Resources: &v1.ResourceRequirements{Requests: granted},
			State: v1.ContainerState{Running: &v1.ContainerStateRunning{}}}}
		_, err = pods.UpdateStatus(ctx, pod, metav1.UpdateOptions{})
		return err
	})
}

// hasCPU: so much is asked for the pod at the API server.
func (l *live) hasCPU(ctx context.Context, want string) error {
	pod, err := l.cp.client.CoreV1().Pods(resizes).Get(ctx, "web", metav1.GetOptions{})
	if err == nil && pod.Spec.Containers[0].Resources.Requests.Cpu().Cmp(resource.MustParse(want)) != 0 {
		err = fmt.Errorf("the pod asks for %s, not %s", pod.Spec.Containers[0].Resources.Requests.Cpu(), want)
	}
	return err
}
