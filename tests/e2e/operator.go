// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	v1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	lockAPI      = "/apis/concurrency.gokore.io/v1alpha1"
	ourAPI       = "/apis/orchestration.gokore.io/v1beta1"
	operatorUser = "system:serviceaccount:numawise-system:numawise-operator"
)

// operator is numawise with the operator alone, over the API server, with the rights that are shipped.
type operator struct {
	*process
	l    *live
	at   *url.URL
	port int
}

// grantOperator makes its user, and gives it what is shipped.
func (l *live) grantOperator(ctx context.Context) error {
	err := l.makeNamespace(ctx, "numawise-system")
	err = errors.Join(err, l.cp.ca.issue("operator", operatorUser, "system:serviceaccounts", "system:authenticated"))
	objects, err2 := loadObjects(filepath.Join(l.source, "deploy", "manifests", "operator-rbac.yaml"))
	for _, o := range objects {
		err2 = errors.Join(err2, l.cp.postManifest(ctx, o, false))
	}
	return errors.Join(err, err2)
}

// startOperator starts a replica that does nothing to anybody.
func (l *live) startOperator(name string) (*operator, error) {
	return l.startOperatorThat(name, "DryRun")
}

// configureOperator writes its configuration, also of one that runs.
func (l *live) configureOperator(name string, port int, act string) error {
	return writeFile(filepath.Join(l.work, name+".yaml"), fmt.Appendf(nil, "apiVersion: numawise.config.gokore.io/v1alpha1\nkind: NumawiseConfiguration\n"+
		"operator: {lease: numawise-system/numawise-operator, advertise: 'http://127.0.0.1:%d', act: %s}\n", port, act))
}

func (l *live) startOperatorThat(name, act string) (*operator, error) {
	kubeconfig, file, config := filepath.Join(l.work, name+".kubeconfig"), filepath.Join(l.work, name+".json"), filepath.Join(l.work, name+".yaml")
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	if err := errors.Join(writeFile(kubeconfig, []byte(l.cp.kubeconfig("operator"))), l.configureOperator(name, port, act)); err != nil {
		return nil, err
	}
	p, err := l.ps.start("numawise "+name, filepath.Join(l.work, name+".log"), l.binary, "serve", "--kubeconfig", kubeconfig, "--config", config,
		"--listen", "extender=off", "--listen", "console=off", "--listen", fmt.Sprintf("operator=127.0.0.1:%d", port), "--addresses-file", file)
	if err != nil {
		return nil, err
	}
	var addresses struct{ Operator string }
	err = p.waitFor("addresses file", 10*time.Second, func() bool {
		text, err := os.ReadFile(file)
		return err == nil && json.Unmarshal(text, &addresses) == nil
	})
	if err != nil {
		return nil, err
	}
	o := &operator{process: p, l: l, port: port}
	if o.at, err = url.Parse(addresses.Operator); err != nil {
		return nil, err
	}
	return o, eventually(30*time.Second, func() error {
		reply, err := asker.Get(o.at.Scheme + "://" + o.at.Host + "/readyz?verbose")
		if err != nil {
			return err
		}
		defer reply.Body.Close()
		text, _ := io.ReadAll(reply.Body)
		if reply.StatusCode != http.StatusOK {
			return fmt.Errorf("/readyz: %s\n%s", reply.Status, text)
		}
		return nil
	})
}

// call makes a call with a token ("" = none); the status and the body.
func (o *operator) call(token, method, target, body string) (int, string, error) {
	request, err := http.NewRequest(method, o.at.Scheme+"://"+o.at.Host+target, bytes.NewReader([]byte(body)))
	if err != nil {
		return 0, "", err
	}
	request.Host = "127.0.0.1"
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	reply, err := http.DefaultTransport.RoundTrip(request) // it follows nowhere
	if err != nil {
		return 0, "", err
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	return reply.StatusCode, string(text), err
}

// answers fails unless the call is answered with this status.
func (o *operator) answers(want int, token, method, target, body string) error {
	status, text, err := o.call(token, method, target, body)
	if err == nil && status != want {
		err = fmt.Errorf("%s %s: %d instead of %d: %s", method, target, status, want, text)
	}
	return err
}

// token asks for one of a ServiceAccount, bound to a pod where one is named.
func (l *live) token(ctx context.Context, namespace, account string, pod *v1.Pod, audiences ...string) (string, error) {
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: audiences}}
	if pod != nil {
		request.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: pod.Name, UID: pod.UID}
	}
	got, err := l.cp.client.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, account, request, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	return got.Status.Token, nil
}

func (l *live) makePod(ctx context.Context, namespace, name string) (*v1.Pod, error) {
	return l.cp.client.CoreV1().Pods(namespace).Create(ctx, &v1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1.PodSpec{Containers: []v1.Container{{Name: "main", Image: "none"}}}}, metav1.CreateOptions{})
}

// allow gives an account of a namespace a role of its own, there or everywhere.
func (l *live) allow(ctx context.Context, namespace, account, in string, rules ...rbacv1.PolicyRule) error {
	name := "e2e-" + namespace + "-" + account
	subjects := []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: account}}
	rbac := l.cp.client.RbacV1()
	if in == "" {
		_, err := rbac.ClusterRoles().Create(ctx, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules}, metav1.CreateOptions{})
		_, err2 := rbac.ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: name}, Subjects: subjects,
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name}}, metav1.CreateOptions{})
		return errors.Join(err, err2)
	}
	_, err := rbac.Roles(in).Create(ctx, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules}, metav1.CreateOptions{})
	_, err2 := rbac.RoleBindings(in).Create(ctx, &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: name}, Subjects: subjects,
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name}}, metav1.CreateOptions{})
	return errors.Join(err, err2)
}

func (l *live) makeAccount(ctx context.Context, namespace, name string) error {
	_, err := l.cp.client.CoreV1().ServiceAccounts(namespace).Create(ctx, &v1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	return err
}

func report(namespace, pod string, sequence int, rest string) string {
	return fmt.Sprintf(`{"reporter":{"namespace":%q,"pod":%q,"epoch":1},"sequence":%d,%s}`, namespace, pod, sequence, rest)
}

// playOperator: who may call what, by tokens and roles of the real API server, and what it stores there.
func (l *live) playOperator(ctx context.Context) {
	o, err := (*operator)(nil), l.grantOperator(ctx)
	if err == nil {
		o, err = l.startOperator("operator-0")
	}
	if !l.check("the operator starts with the rights of its own roles", err) {
		return
	}
	defer o.kill()
	l.check("it leads", eventually(30*time.Second, func() error { return o.answers(401, "", "POST", "/v1/lock-reports", "{}") }))
	var teller, other, evil *v1.Pod
	err = errors.Join(l.makeNamespace(ctx, "bank"), l.makeNamespace(ctx, "evil"), l.makeAccount(ctx, "evil", "tracker"), l.makeAccount(ctx, "evil", "clerk"))
	if err == nil {
		teller, err = l.makePod(ctx, "bank", "teller-0")
	}
	if err == nil {
		other, err = l.makePod(ctx, "bank", "teller-1")
	}
	if err == nil {
		evil, err = l.makePod(ctx, "evil", "evil-0")
	}
	if !l.check("there are pods in two namespaces", err) {
		return
	}
	l.playTokens(ctx, o, teller, other, evil)
	l.playRoles(ctx, o)
	l.playStatuses(ctx, o, teller)
	l.playReplicas(ctx, o, teller)
	l.playActs(ctx)
	l.playResizes(ctx)
	l.check("the namespaces go", errors.Join(l.removeNamespace(ctx, "bank"), l.removeNamespace(ctx, "evil")))
}

// playReplicas: the second one sends to the first, and leads when that one goes.
func (l *live) playReplicas(ctx context.Context, first *operator, teller *v1.Pod) {
	const target = "/v1/lock-hierarchy?namespace=bank"
	own, err := l.token(ctx, "bank", "default", teller, "numawise")
	second, err2 := l.startOperator("operator-1")
	if !l.check("a second replica starts", errors.Join(err, err2)) {
		return
	}
	defer second.kill()
	l.check("it sends callers to the first (307)", eventually(30*time.Second, func() error { return second.answers(307, own, "GET", target, "") }))
	l.check("the first ends in good order, and gives up its lease", first.terminate(20*time.Second))
	l.check("the second leads", eventually(10*time.Second, func() error { return second.answers(200, own, "GET", target, "") }))
	l.check("it ends in good order", second.terminate(20*time.Second))
}

// playTokens: a pod speaks for itself, with a token that is for numawise.
func (l *live) playTokens(ctx context.Context, o *operator, teller, other, evil *v1.Pod) {
	const at = `"nowNs":9000000000,"edges":[{"from":"accounts","to":"ledger","count":1}]`
	const reports, hierarchy = "/v1/lock-reports", "/v1/lock-hierarchy?namespace="
	own, err := l.token(ctx, "bank", "default", teller, "numawise")
	sibling, err1 := l.token(ctx, "bank", "default", other, "numawise")
	unbound, err2 := l.token(ctx, "bank", "default", nil, "numawise")
	server, err3 := l.token(ctx, "bank", "default", teller)
	both, err4 := l.token(ctx, "bank", "default", teller, "https://e2e.invalid", "numawise")
	foreign, err5 := l.token(ctx, "evil", "default", evil, "numawise")
	if !l.check("the API server gives out tokens", errors.Join(err, err1, err2, err3, err4, err5)) {
		return
	}
	l.check("a pod reports for itself, and reads the hierarchy of its namespace", errors.Join(
		o.answers(202, own, "POST", reports, report("bank", "teller-0", 1, at)),
		o.answers(202, both, "POST", reports, report("bank", "teller-0", 2, at)),
		o.answers(200, own, "GET", hierarchy+"bank", "")))
	l.check("a token for another audience, a forged one and none are refused with 401", errors.Join(
		o.answers(401, server, "POST", reports, report("bank", "teller-0", 3, at)),
		o.answers(401, own[:len(own)-6]+"AAAAAA", "POST", reports, report("bank", "teller-0", 3, at)),
		o.answers(401, "", "GET", hierarchy+"bank", "")))
	l.check("neither its sibling, nor its ServiceAccount, nor a pod of another namespace speaks for it (403)", errors.Join(
		o.answers(403, sibling, "POST", reports, report("bank", "teller-0", 3, at)),
		o.answers(403, unbound, "POST", reports, report("bank", "teller-0", 3, at)),
		o.answers(403, foreign, "POST", reports, report("bank", "teller-0", 3, at)),
		o.answers(202, sibling, "POST", reports, report("bank", "teller-1", 1, at))))
	l.check("nobody reads of another namespace, or of all, without a right (403)", errors.Join(
		o.answers(403, foreign, "GET", hierarchy+"bank", ""), o.answers(403, own, "GET", hierarchy+"evil", ""),
		o.answers(403, own, "GET", "/v1/lock-hierarchy", ""), o.answers(403, foreign, "GET", "/v1/deadlocks/bank", "")))
	l.check("a pod declares no policy and asks for no resources, also in its namespace (403)", errors.Join(
		o.answers(403, own, "PUT", "/v1/lock-policies/bank/mine", "{}"),
		o.answers(403, own, "POST", "/v1/resource-adjustments/bank", `{"target":{"name":"teller-0"},"cpuShares":512}`)))
}

// playRoles: what more somebody may is what RBAC says.
func (l *live) playRoles(ctx context.Context, o *operator) {
	const at = `"nowNs":9000000000`
	tracker, err := l.token(ctx, "evil", "tracker", nil, "numawise")
	clerk, err1 := l.token(ctx, "evil", "clerk", nil, "numawise")
	if !l.check("and two more", errors.Join(err, err1)) {
		return
	}
	l.check("without a role they may nothing", errors.Join(
		o.answers(403, tracker, "POST", "/v1/lock-reports", report("bank", "teller-1", 2, at)),
		o.answers(403, clerk, "PUT", "/v1/lock-policies/bank/order", "{}")))
	err = errors.Join(
		l.allow(ctx, "evil", "tracker", "", rbacv1.PolicyRule{Verbs: []string{"create"}, APIGroups: []string{"concurrency.gokore.io"}, Resources: []string{"lockreports"}}),
		l.allow(ctx, "evil", "clerk", "bank",
			rbacv1.PolicyRule{Verbs: []string{"get", "update", "delete"}, APIGroups: []string{"concurrency.gokore.io"}, Resources: []string{"lockpolicies"}},
			rbacv1.PolicyRule{Verbs: []string{"get", "create", "delete"}, APIGroups: []string{"orchestration.gokore.io"}, Resources: []string{"resourceadjustments"}}))
	if !l.check("they get one each", err) {
		return
	}
	l.check("a tracker for all pods (docs/access.md) reports for one that is not its own, once the no is forgotten", eventually(40*time.Second, func() error {
		return o.answers(202, tracker, "POST", "/v1/lock-reports", report("bank", "teller-1", 2, at))
	}))
	l.check("who may update LockPolicies in bank does, and nowhere else", errors.Join(eventually(40*time.Second, func() error {
		return o.answers(201, clerk, "PUT", "/v1/lock-policies/bank/order", `{"hierarchyRules":[{"name":"t","order":["accounts","ledger"]}]}`)
	}), o.answers(403, clerk, "PUT", "/v1/lock-policies/evil/order", "{}"),
		o.answers(403, tracker, "GET", "/v1/lock-hierarchy?namespace=bank", "")))
	l.check("who may create ResourceAdjustments there asks for one", o.answers(202, clerk, "POST", "/v1/resource-adjustments/bank",
		`{"metadata":{"name":"asked"},"spec":{"target":{"name":"teller-0"},"cpuShares":512}}`))
}

// stored waits until an object has all these texts in it.
func (l *live) stored(ctx context.Context, path string, texts ...string) error {
	return eventually(60*time.Second, func() error {
		text, err := l.cp.get(ctx, path, "application/json")
		for _, want := range texts {
			if err == nil && !strings.Contains(string(text), want) {
				err = fmt.Errorf("%s: no %s in %s", path, want, text)
			}
		}
		return err
	})
}

// playStatuses: each kind of the operator's has its status on the real API server, by the rules that are shipped.
func (l *live) playStatuses(ctx context.Context, o *operator, teller *v1.Pod) {
	l.check("a LockPolicy that was declared by a call is told how its namespace stands", l.stored(ctx, lockAPI+"/namespaces/bank/lockpolicies/order",
		`"reason":"Valid"`, `"reason":"Acyclic"`, `"reason":"NoCycle"`))
	l.check("what was asked by a call is answered", l.stored(ctx, ourAPI+"/namespaces/bank/resourceadjustments/asked", `"reason":"NotScheduled"`))
	post := func(path, text string) error {
		_, err := l.cp.post(ctx, path, []byte(text))
		return err
	}
	l.check("a ResourceAdjustment that somebody applies is answered", errors.Join(
		post(ourAPI+"/namespaces/bank/resourceadjustments", `{"apiVersion":"orchestration.gokore.io/v1beta1","kind":"ResourceAdjustment",
			"metadata":{"name":"applied"},"spec":{"target":{"name":"teller-1"},"memoryMB":64}}`),
		l.stored(ctx, ourAPI+"/namespaces/bank/resourceadjustments/applied", `"outcome":"Infeasible"`, `"observedGeneration":1`)))
	l.check("a quota of the namespace is seen", errors.Join(
		post("/api/v1/namespaces/bank/resourcequotas", `{"apiVersion":"v1","kind":"ResourceQuota","metadata":{"name":"none"},"spec":{"hard":{"requests.cpu":"1"}}}`),
		eventually(30*time.Second, func() error {
			text := fmt.Sprintf(`{"apiVersion":"orchestration.gokore.io/v1beta1","kind":"ResourceAdjustment","metadata":{"name":"q-%d"},
				"spec":{"target":{"name":"teller-0"},"cpuShares":4096}}`, time.Now().UnixNano())
			var made struct{ Metadata struct{ Name string } }
			answer, err := l.cp.post(ctx, ourAPI+"/namespaces/bank/resourceadjustments", []byte(text))
			if err == nil {
				err = json.Unmarshal(answer, &made)
			}
			if err != nil {
				return err
			}
			return l.storedSoon(ctx, ourAPI+"/namespaces/bank/resourceadjustments/"+made.Metadata.Name, `"reason":"ResourceQuota"`)
		})))
	l.check("a ConcurrencyPolicy is told that it counts", errors.Join(
		post(ourAPI+"/concurrencypolicies", `{"apiVersion":"orchestration.gokore.io/v1beta1","kind":"ConcurrencyPolicy","metadata":{"name":"e2e"},
			"spec":{"deadlock":{"thresholdSeconds":1,"strategy":"EvictPod"}}}`),
		l.stored(ctx, ourAPI+"/concurrencypolicies/e2e", `"type":"Accepted"`)))
	l.check("another one for the same namespaces is told that it loses", errors.Join(
		post(ourAPI+"/concurrencypolicies", `{"apiVersion":"orchestration.gokore.io/v1beta1","kind":"ConcurrencyPolicy","metadata":{"name":"e2e-later"},"spec":{}}`),
		l.stored(ctx, ourAPI+"/concurrencypolicies/e2e-later", `"status":"True","type":"Conflicted"`, `"reason":"Outranked"`)))
	l.playDeadlock(ctx, o, teller)
}

func (l *live) storedSoon(ctx context.Context, path, want string) error {
	return eventually(3*time.Second, func() error {
		text, err := l.cp.get(ctx, path, "application/json")
		if err == nil && !strings.Contains(string(text), want) {
			err = fmt.Errorf("%s: no %s in %s", path, want, text)
		}
		return err
	})
}

// playDeadlock: two threads of a pod wait for each other; the report is stored, with a plan and no act.
func (l *live) playDeadlock(ctx context.Context, o *operator, teller *v1.Pod) {
	own, err := l.token(ctx, "bank", "default", teller, "numawise")
	sequence := 100
	tell := func() error {
		sequence++
		return o.answers(202, own, "POST", "/v1/lock-reports", fmt.Sprintf(`{"reporter":{"namespace":"bank","pod":"teller-0","container":"main","epoch":2},
			"sequence":%d,"nowNs":%d,
			"held":[{"class":"accounts","instance":"a","thread":"1","sinceNs":1},{"class":"ledger","instance":"l","thread":"2","sinceNs":2}],
			"waiting":[{"class":"ledger","instance":"l","thread":"1","sinceNs":3},{"class":"accounts","instance":"a","thread":"2","sinceNs":4}]}`,
			sequence-100, 5000000000+sequence*1000000))
	}
	if err == nil {
		err = eventually(60*time.Second, func() error {
			time.Sleep(300 * time.Millisecond)
			if err := tell(); err != nil {
				return err
			}
			text, err := l.cp.get(ctx, ourAPI+"/namespaces/bank/deadlockreports", "application/json")
			for _, want := range []string{`"reason":"SeenTwice"`, `"strategy":"EvictPod"`, `"mode":"DryRun"`, `"why":"no owner would make it again"`} {
				if err == nil && !strings.Contains(string(text), want) {
					err = fmt.Errorf("no %s in %s", want, text)
				}
			}
			return err
		})
	}
	l.check("a deadlock becomes a DeadlockReport with its plan, for which a pod without owner is no victim", err)
	pod, err := l.cp.client.CoreV1().Pods("bank").Get(ctx, "teller-0", metav1.GetOptions{})
	if err == nil && (pod.UID != teller.UID || pod.DeletionTimestamp != nil) {
		err = errors.New("the pod is another one, or goes")
	}
	l.check("and nothing dies", err)
}
