// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	v1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
)

const acts = "acts"

// playActs: the operator ends a pod of a deadlock, once, by the rules that are shipped for it, and only when it is told to.
func (l *live) playActs(ctx context.Context) {
	objects, err := loadObjects(filepath.Join(l.source, "deploy", "manifests", "act", "rbac.yaml"))
	for _, o := range objects {
		err = errors.Join(err, l.cp.postManifest(ctx, o, false))
	}
	_, err2 := l.cp.post(ctx, ourAPI+"/concurrencypolicies", []byte(`{"apiVersion":"orchestration.gokore.io/v1beta1","kind":"ConcurrencyPolicy","metadata":{"name":"e2e-acts"},
		"spec":{"precedence":10,"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"acts"}},"deadlock":{"thresholdSeconds":1,"strategy":"EvictPod","mode":"Enforce"}}}`))
	if !l.check("what is shipped for acting, and a policy that says so for a namespace", errors.Join(err, err2, l.makeNamespace(ctx, acts))) {
		return
	}
	first, err := l.playWorkload(ctx, "first")
	second, err2 := l.playWorkload(ctx, "second")
	if !l.check("two workloads of four healthy pods", errors.Join(err, err2)) {
		return
	}
	o, err := l.startOperator("operator-acts")
	if !l.check("an operator starts, with operator.act: DryRun", err) {
		return
	}
	defer o.kill()
	tell, err := o.deadlock(ctx, &first[0])
	if err == nil {
		err = tell.until(ctx, `"reason":"DryRun"`, `"victim":"acts/`+first[0].Name+`"`, `"mode":"Enforce"`)
	}
	l.check("a deadlock is planned, and nothing is done", errors.Join(err, l.same(ctx, first, "")))
	err = l.configureOperator("operator-acts", o.port, "Enforce")
	if err == nil {
		err = tell.until(ctx, `"outcome":"Evicted"`, `"attempts":1,`)
	}
	l.check("with operator.act: Enforce in the file, without a restart, its pod ends, and no other does", errors.Join(err, l.same(ctx, first, first[0].Name), l.same(ctx, second, "")))
	l.check("an Event at the pod tells of it", eventually(10*time.Second, func() error {
		text, err := l.cp.get(ctx, "/apis/events.k8s.io/v1/namespaces/acts/events", "application/json")
		if err == nil && !(strings.Contains(string(text), `"reason":"DeadlockEvicted"`) && strings.Contains(string(text), string(first[0].UID))) {
			err = fmt.Errorf("%s", text)
		}
		return err
	}))
	l.playBudget(ctx, o, second)
	l.check("it ends in good order", o.terminate(20*time.Second))
	l.check("the namespace goes", l.removeNamespace(ctx, acts))
}

// playBudget: a PodDisruptionBudget that allows nothing holds it back; when it goes, the pod ends.
func (l *live) playBudget(ctx context.Context, o *operator, pods []v1.Pod) {
	four := intstr.FromInt32(4)
	budgets := l.cp.client.PolicyV1().PodDisruptionBudgets(acts)
	_, err := budgets.Create(ctx, &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Name: "second"},
		Spec: policyv1.PodDisruptionBudgetSpec{MinAvailable: &four, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "second"}}}}, metav1.CreateOptions{})
	if err == nil {
		err = eventually(30*time.Second, func() error {
			b, err := budgets.Get(ctx, "second", metav1.GetOptions{})
			if err == nil && b.Status.CurrentHealthy != 4 {
				err = fmt.Errorf("%d are healthy", b.Status.CurrentHealthy)
			}
			return err
		})
	}
	var tell *deadlock
	if err == nil {
		tell, err = o.deadlock(ctx, &pods[1])
	}
	if err == nil {
		err = tell.until(ctx, `"outcome":"Refused"`, `"reason":"DisruptionBudget"`)
	}
	l.check("a PodDisruptionBudget that allows nothing is respected", errors.Join(err, l.same(ctx, pods, "")))
	err = budgets.Delete(ctx, "second", metav1.DeleteOptions{})
	if err == nil {
		err = tell.until(ctx, `"outcome":"Evicted"`)
	}
	l.check("without it the pod ends, and no other does", errors.Join(err, l.same(ctx, pods, pods[1].Name)))
}

// playWorkload makes four pods of a ReplicaSet, and says of them what a kubelet would.
func (l *live) playWorkload(ctx context.Context, name string) ([]v1.Pod, error) {
	four, labels := int32(4), map[string]string{"app": name}
	_, err := l.cp.client.AppsV1().ReplicaSets(acts).Create(ctx, &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.ReplicaSetSpec{Replicas: &four, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: v1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: v1.PodSpec{SchedulerName: "nobody", Containers: []v1.Container{{Name: "main", Image: "none"}}}}}}, metav1.CreateOptions{})
	if err != nil {
		return nil, err
	}
	pods := l.cp.client.CoreV1().Pods(acts)
	var list *v1.PodList
	err = eventually(30*time.Second, func() error {
		list, err = pods.List(ctx, metav1.ListOptions{LabelSelector: "app=" + name})
		if err == nil && len(list.Items) != 4 {
			err = fmt.Errorf("%d pods", len(list.Items))
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	long := metav1.NewTime(time.Now().Add(-time.Hour)) // younger ones are spared
	for i := range list.Items {
		pod := &list.Items[i]
		pod.Status.Phase = v1.PodRunning
		pod.Status.StartTime = &long
		for _, condition := range []v1.PodConditionType{v1.PodScheduled, v1.PodReady} {
			pod.Status.Conditions = append(pod.Status.Conditions, v1.PodCondition{Type: condition, Status: v1.ConditionTrue, LastTransitionTime: long})
		}
		if _, err := pods.UpdateStatus(ctx, pod, metav1.UpdateOptions{}); err != nil {
			return nil, err
		}
	}
	return list.Items, nil
}

// same: these pods are there as they were, but for one ("" = none), which is gone.
func (l *live) same(ctx context.Context, pods []v1.Pod, ended string) error {
	list, err := l.cp.client.CoreV1().Pods(acts).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	there := map[types.UID]bool{}
	for _, p := range list.Items {
		there[p.UID] = p.DeletionTimestamp == nil
	}
	for _, p := range pods {
		if there[p.UID] == (p.Name == ended) {
			err = errors.Join(err, fmt.Errorf("%s (%s) is there: %v", p.Name, p.UID, there[p.UID]))
		}
	}
	return err
}

// deadlock is what the tracker of a pod says of two threads of it, again and again.
type deadlock struct {
	o        *operator
	token    string
	pod      *v1.Pod
	sequence int
}

func (o *operator) deadlock(ctx context.Context, pod *v1.Pod) (*deadlock, error) {
	token, err := o.l.token(ctx, acts, "default", pod, "numawise")
	return &deadlock{o: o, token: token, pod: pod}, err
}

func (d *deadlock) tell() error {
	status, text, err := d.o.call(d.token, "POST", "/v1/lock-reports", fmt.Sprintf(`{"reporter":{"namespace":"acts","pod":%q,"container":"main","epoch":1},
		"sequence":%d,"nowNs":%d,
		"held":[{"class":"accounts","instance":"a","thread":"1","sinceNs":1},{"class":"ledger","instance":"l","thread":"2","sinceNs":2}],
		"waiting":[{"class":"ledger","instance":"l","thread":"1","sinceNs":3},{"class":"accounts","instance":"a","thread":"2","sinceNs":4}]}`,
		d.pod.Name, d.sequence+1, 5000000000+d.sequence*1000000))
	if err == nil && status == 202 {
		d.sequence++
	}
	if err == nil && status != 202 && status != 503 && status != 401 { // until it leads; and when the pod is gone
		err = fmt.Errorf("%d: %s", status, text)
	}
	return err
}

// until tells of it until its report has all of these texts.
func (d *deadlock) until(ctx context.Context, texts ...string) error {
	return eventually(90*time.Second, func() error {
		if err := d.tell(); err != nil {
			return err
		}
		time.Sleep(250 * time.Millisecond)
		text, err := d.o.l.cp.get(ctx, ourAPI+"/namespaces/acts/deadlockreports", "application/json")
		if err != nil {
			return err
		}
		var list struct{ Items []json.RawMessage }
		if err := json.Unmarshal(text, &list); err != nil {
			return err
		}
		for _, item := range list.Items {
			if !strings.Contains(string(item), fmt.Sprintf(`"pod":%q`, d.pod.Name)) {
				continue
			}
			for _, want := range texts {
				if !strings.Contains(string(item), want) {
					return fmt.Errorf("no %s in %s", want, item)
				}
			}
			return nil
		}
		return errors.New("there is no report of it")
	})
}
