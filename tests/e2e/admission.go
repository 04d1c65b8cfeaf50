// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"
)

const numaPolicy = "orchestration.gokore.io/numa-policy"

// What the API server adds to the answers of one client.
type warnings struct {
	sync.Mutex
	heard []string
}

func (w *warnings) HandleWarningHeader(_ int, _ string, text string) {
	w.Lock()
	defer w.Unlock()
	w.heard = append(w.heard, text)
}

// take hands out what was heard since the last time.
func (w *warnings) take() string {
	w.Lock()
	defer w.Unlock()
	text := strings.Join(w.heard, "\n")
	w.heard = nil
	return text
}

// The webhook that is being called, and a client that hears warnings.
type webhook struct {
	s      *suite
	nw     *numawise
	client *kubernetes.Clientset
	said   warnings
}

// playAdmission: the API server asks numawise about pods, workloads and our kinds, by what is
// shipped in deploy/manifests/admission.
func (s *suite) playAdmission(ctx context.Context) {
	w := &webhook{s: s}
	// From before there was a webhook, with what nobody would let in now.
	old := hinted("old", 1, map[string]string{numaPolicy: "one"})
	old.Finalizers = []string{"example.com/held"}
	_, err := s.cp.client.CoreV1().Pods(shop).Create(ctx, old, metav1.CreateOptions{})
	if err == nil {
		err = w.install(ctx)
	}
	if !s.check("the API server takes the ValidatingWebhookConfigurations that are shipped, and calls", err) {
		return
	}
	s.check("a hint that does not parse is refused: of a pod, a Deployment, a CronJob, each with its field", w.refuses(ctx))
	s.check("a good pod is let in, in silence; who says nothing to numawise and needs no zone is not asked about, nor is a pod of a workload", w.letsPass(ctx))
	s.check("a pod from before is labelled and let go, though its hint does not parse; a new value of it is refused", w.leavesOld(ctx))
	s.check("a pod that explain places nowhere is stored, and its creator is warned; so is that of a Deployment, not when it is scaled", w.warns(ctx))
	s.check("an object of our own is refused for what a laxer definition lets through", w.guardsObjects(ctx))
	s.check("with numawise killed pods come in", w.dies(ctx))
}

// install starts numawise with a certificate, and has the API server call it where it is.
func (w *webhook) install(ctx context.Context) error {
	cp, work := w.s.cp, filepath.Join(w.s.work, "admission")
	if err := errors.Join(os.Mkdir(work, 0o700), cp.ca.issue("webhook", "numawise-admission")); err != nil {
		return err
	}
	config := filepath.Join(work, "numawise.yaml")
	settings := fmt.Sprintf("apiVersion: numawise.config.gokore.io/v1alpha1\nkind: NumawiseConfiguration\nlisteners:\n"+
		"  admission: {address: '127.0.0.1:0', tls: {certFile: %q, keyFile: %q}}\n",
		cp.ca.path("webhook", "crt"), cp.ca.path("webhook", "key"))
	err := writeFile(config, []byte(settings))
	if err == nil {
		w.nw, err = w.s.ps.serve(w.s.binary, work, "127.0.0.1:0", "--cluster", w.s.cluster, "--config", config)
	}
	if err != nil {
		return err
	}
	listening := *cp.config
	listening.WarningHandler = &w.said
	if w.client, err = kubernetes.NewForConfig(&listening); err != nil {
		return err
	}
	var addresses struct{ Admission string }
	text, err := os.ReadFile(filepath.Join(work, "addresses.json"))
	if err == nil {
		err = json.Unmarshal(text, &addresses)
	}
	for _, file := range []string{"webhooks.yaml", "objects.yaml"} {
		if err == nil {
			err = w.register(ctx, file, addresses.Admission)
		}
	}
	if err != nil {
		return err
	}
	// In force a moment after they are created.
	return eventually(patience, func() error {
		return w.refused(ctx, hinted("early", 1, map[string]string{numaPolicy: "one"}))
	})
}

// register creates a configuration as it is shipped, but for where it leads.
func (w *webhook) register(ctx context.Context, file, url string) error {
	ca, err := os.ReadFile(w.s.cp.ca.path("ca", "crt"))
	if err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(w.s.data, "..", "..", "..", "deploy", "manifests", "admission", file))
	if err != nil {
		return err
	}
	var shipped admissionv1.ValidatingWebhookConfiguration
	if err := yaml.UnmarshalStrict(text, &shipped); err != nil {
		return err
	}
	for i := range shipped.Webhooks {
		to := shipped.Webhooks[i].ClientConfig.Service
		if to == nil || to.Path == nil || !strings.HasSuffix(url, *to.Path) {
			return fmt.Errorf("%s: %+v does not lead to %s", file, to, url)
		}
		shipped.Webhooks[i].ClientConfig = admissionv1.WebhookClientConfig{URL: &url, CABundle: ca}
	}
	_, err = w.client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Create(ctx, &shipped,
		metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict})
	return err
}

// hinted is a Guaranteed pod with annotations.
func hinted(name string, cpus int64, annotations map[string]string) *v1.Pod {
	pod := pinned(name, cpus, "")
	pod.Namespace, pod.Spec.Affinity, pod.Annotations = shop, nil, annotations
	return pod
}

var dryRun = metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}

func (w *webhook) refused(ctx context.Context, pod *v1.Pod) error {
	_, err := w.client.CoreV1().Pods(shop).Create(ctx, pod, dryRun)
	return invalid(err, "pods", "metadata.annotations["+numaPolicy+"]")
}

// invalid: refused by one of our webhooks, with the field as a cause and in the message.
func invalid(err error, hook, field string) error {
	const what = "not single, closest or span<=N"
	var status *apierrors.StatusError
	if err == nil {
		return errors.New("let in")
	}
	if !errors.As(err, &status) || !apierrors.IsInvalid(err) {
		return fmt.Errorf("refused by another word: %w", err)
	}
	want := fmt.Sprintf("admission webhook %q denied the request: %s: %s", hook+".numawise.gokore.io", field, what)
	details := status.ErrStatus.Details
	if status.ErrStatus.Message != want || details == nil || len(details.Causes) != 1 ||
		details.Causes[0].Field != field || details.Causes[0].Message != what {
		return fmt.Errorf("%+v", status.ErrStatus)
	}
	return nil
}

func (w *webhook) refuses(ctx context.Context) error {
	pod := hinted("bad", 1, map[string]string{numaPolicy: "one"})
	template := v1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Annotations: pod.Annotations,
		Labels: map[string]string{"app": "bad"}}, Spec: pod.Spec}
	meta := metav1.ObjectMeta{Name: "bad", Namespace: shop}
	_, deployment := w.client.AppsV1().Deployments(shop).Create(ctx, &appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{
		Selector: &metav1.LabelSelector{MatchLabels: template.Labels}, Template: template}}, dryRun)
	template.Spec.RestartPolicy = v1.RestartPolicyNever
	_, cron := w.client.BatchV1().CronJobs(shop).Create(ctx, &batchv1.CronJob{ObjectMeta: meta, Spec: batchv1.CronJobSpec{
		Schedule: "@daily", JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: template}}}}, dryRun)
	field := "template.metadata.annotations[" + numaPolicy + "]"
	return errors.Join(w.refused(ctx, pod), invalid(deployment, "workloads", "spec."+field),
		invalid(cron, "cronjobs", "spec.jobTemplate.spec."+field))
}

// reviews is how often numawise was asked so far.
func (w *webhook) reviews() (float64, error) {
	sum := 0.0
	for _, result := range []string{"allowed", "warned", "denied", "passed", "malformed", "full"} {
		n, err := w.nw.metric(`numawise_admission_reviews_total{result="` + result + `"}`)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// asks: numawise is asked so often while `do` is done, and the client hears nothing.
func (w *webhook) asks(times float64, do func() error) error {
	before, err := w.reviews()
	if err != nil {
		return err
	}
	w.said.take()
	if err := do(); err != nil {
		return err
	}
	after, err := w.reviews()
	if err == nil && after-before != times {
		err = fmt.Errorf("asked %v times, not %v", after-before, times)
	}
	if said := w.said.take(); err == nil && said != "" {
		err = errors.New(said)
	}
	return err
}

func (w *webhook) create(ctx context.Context, pod *v1.Pod) error {
	_, err := w.client.CoreV1().Pods(shop).Create(ctx, pod, metav1.CreateOptions{})
	return err
}

func (w *webhook) patch(ctx context.Context, name, metadata string) error {
	_, err := w.client.CoreV1().Pods(shop).Patch(ctx, name, types.MergePatchType, []byte(`{"metadata":`+metadata+`}`), metav1.PatchOptions{})
	return err
}

func (w *webhook) letsPass(ctx context.Context) error {
	plain := hinted("plain", 1, nil)
	plain.Spec.Containers[0].Resources = v1.ResourceRequirements{}
	// Of a ReplicaSet that was there before the webhook.
	made, yes := hinted("made", 1, map[string]string{numaPolicy: "one"}), true
	made.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "old", UID: "u", Controller: &yes}}
	return errors.Join(
		w.asks(0, func() error { return w.create(ctx, made) }),
		w.asks(1, func() error { return w.create(ctx, hinted("good", 1, map[string]string{numaPolicy: "single"})) }),
		w.asks(1, func() error { return w.create(ctx, hinted("guaranteed", 1, nil)) }),
		w.asks(0, func() error { return w.create(ctx, plain) }),
		w.asks(0, func() error { return w.patch(ctx, "good", `{"labels":{"a":"b"}}`) }))
}

func (w *webhook) leavesOld(ctx context.Context) error {
	now := int64(0)
	err := errors.Join(
		w.asks(0, func() error { return w.patch(ctx, "old", `{"labels":{"a":"b"}}`) }),
		w.patch(ctx, "old", `{"annotations":{"other":"x"}}`))
	if said := w.said.take(); !strings.Contains(said, numaPolicy) {
		err = errors.Join(err, fmt.Errorf("no word of what is wrong still: %s", said))
	}
	return errors.Join(err,
		invalid(w.patch(ctx, "old", fmt.Sprintf(`{"annotations":{%q:"two"}}`, numaPolicy)), "pods", "metadata.annotations["+numaPolicy+"]"),
		w.client.CoreV1().Pods(shop).Delete(ctx, "old", metav1.DeleteOptions{GracePeriodSeconds: &now}),
		w.patch(ctx, "old", `{"finalizers":null}`),
		eventually(patience, func() error {
			_, err := w.client.CoreV1().Pods(shop).Get(ctx, "old", metav1.GetOptions{})
			if !apierrors.IsNotFound(err) {
				return fmt.Errorf("it is still there: %v", err)
			}
			return nil
		}))
}

// expectWarning: what was heard is ours, names every node, and says why.
func (w *webhook) expectWarning(whom string) error {
	want := fmt.Sprintf("numawise: none of %d nodes admits %s", len(w.s.all), whom)
	if said := w.said.take(); !strings.HasPrefix(said, want) || !strings.Contains(said, "cpu needs 400, free") {
		return fmt.Errorf("heard %q", said)
	}
	return nil
}

func (w *webhook) warns(ctx context.Context) error {
	pod := hinted("huge", 400, nil)
	said, err := explain(w.s.binary, w.s.work, w.s.cluster, pod)
	if err == nil && said.Best != nil {
		err = fmt.Errorf("explain has a node for it: %s", *said.Best)
	}
	if err != nil {
		return err
	}
	w.said.take()
	if err := errors.Join(w.create(ctx, pod), w.expectWarning("this pod")); err != nil {
		return err
	}
	replicas, labels := int32(0), map[string]string{"app": "huge"}
	_, err = w.client.AppsV1().Deployments(shop).Create(ctx, &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "huge", Namespace: shop},
		Spec: appsv1.DeploymentSpec{Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: v1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: pod.Spec}}}, metav1.CreateOptions{})
	return errors.Join(err, w.expectWarning("its pods"), w.asks(0, func() error {
		_, err := w.client.AppsV1().Deployments(shop).Patch(ctx, "huge", types.MergePatchType, []byte(`{"spec":{"replicas":1}}`), metav1.PatchOptions{})
		return err
	}))
}

// guardsObjects takes the schema of LockPolicy away, as that of an older version may lack what is new.
func (w *webhook) guardsObjects(ctx context.Context) error {
	const path = "/apis/concurrency.gokore.io/v1alpha1/namespaces/" + shop + "/lockpolicies?dryRun=All"
	const patch = `[{"op":"replace","path":"/spec/versions/0/schema/openAPIV3Schema","value":{"type":"object","x-kubernetes-preserve-unknown-fields":true}}]`
	rest := w.client.CoreV1().RESTClient().(*rest.RESTClient)
	err := rest.Patch(types.JSONPatchType).AbsPath(definitionsPath, "lockpolicies.concurrency.gokore.io").Body([]byte(patch)).Do(ctx).Error()
	if err != nil {
		return err
	}
	object := func(rules string) []byte {
		return []byte(`{"apiVersion":"concurrency.gokore.io/v1alpha1","kind":"LockPolicy","metadata":{"name":"lax","namespace":"` + shop + `"},"spec":{` + rules + `}}`)
	}
	const want = `admission webhook "objects.numawise.gokore.io" denied the request: spec.hierarchyRule: unknown field (did you mean "hierarchyRules"?)`
	err = eventually(patience, func() error {
		_, err := w.s.cp.post(ctx, path, object(`"hierarchyRule":[]`))
		if !apierrors.IsInvalid(err) || err.Error() != want {
			return fmt.Errorf("not refused: %w", err)
		}
		return nil
	})
	_, good := w.s.cp.post(ctx, path, object(`"hierarchyRules":[{"name":"r","order":["a","b"]}]`))
	return errors.Join(err, good)
}

// dies: nobody answers, and what would be refused is stored; at once, for nothing listens.
func (w *webhook) dies(ctx context.Context) error {
	w.nw.kill()
	began := time.Now()
	err := errors.Join(w.create(ctx, hinted("after", 1, nil)),
		w.create(ctx, hinted("unasked", 1, map[string]string{numaPolicy: "one"})))
	if took := time.Since(began); err == nil && took > patience {
		err = fmt.Errorf("it took %v", took)
	}
	hooks := w.client.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	return errors.Join(err, hooks.Delete(ctx, "numawise", metav1.DeleteOptions{}), hooks.Delete(ctx, "numawise-objects", metav1.DeleteOptions{}))
}
