// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	v1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const lockPolicyHint = "orchestration.gokore.io/lock-policy"

// playLockUse: who names a LockPolicy is let in only where his ServiceAccount may use it, by what
// is shipped in deploy/manifests/locks.
func (s *suite) playLockUse(ctx context.Context) {
	err := s.prepareLockUse(ctx)
	if !s.check("the API server takes the ValidatingAdmissionPolicy that is shipped, and enforces it", err) {
		return
	}
	s.check("a pod of a ServiceAccount with the verb use is let in, and one that names no LockPolicy is", errors.Join(
		s.letIn(ctx, "may", "clerk", "teller"), s.letIn(ctx, "silent", "default", "")))
	s.check("one of another LockPolicy, of another ServiceAccount, or without a name is refused", errors.Join(
		s.keptOut(ctx, "other", "clerk", "vault"), s.keptOut(ctx, "stranger", "default", "teller"), s.keptOut(ctx, "empty", "clerk", " ")))
	s.check("it cannot be named afterwards either, and what was let in can be changed in other ways", s.renamed(ctx))
}

// prepareLockUse: a ServiceAccount that may use one LockPolicy, and the policy in force.
func (s *suite) prepareLockUse(ctx context.Context) error {
	meta := metav1.ObjectMeta{Name: "clerk", Namespace: shop}
	world := manifests{namespaces: map[string]bool{shop: true}, accounts: map[string]bool{shop + "/clerk": true, shop + "/default": true}}
	if err := world.create(ctx, s.cp); err != nil {
		return err
	}
	rbac := s.cp.client.RbacV1()
	_, err := rbac.Roles(shop).Create(ctx, &rbacv1.Role{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{{
		APIGroups: []string{"concurrency.gokore.io"}, Resources: []string{"lockpolicies"}, ResourceNames: []string{"teller"}, Verbs: []string{"use"}}}},
		metav1.CreateOptions{})
	if err == nil {
		_, err = rbac.RoleBindings(shop).Create(ctx, &rbacv1.RoleBinding{ObjectMeta: meta,
			RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "clerk"},
			Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: "clerk", Namespace: shop}}}, metav1.CreateOptions{})
	}
	if err != nil {
		return err
	}
	objects, err := loadObjects(filepath.Join(s.data, "..", "..", "..", "deploy", "manifests", "locks", "admission.yaml"))
	for _, o := range objects {
		err = errors.Join(err, s.cp.postManifest(ctx, o, false))
	}
	if err != nil {
		return err
	}
	// In force a moment after it is created.
	return eventually(patience, func() error { return s.keptOut(ctx, "early", "default", "teller") })
}

// lockUser is a pod of an account that names a LockPolicy; no name: the pod names none.
func lockUser(name, account, policy string) *v1.Pod {
	pod := pinned(name, 1, "")
	pod.Namespace, pod.Spec.ServiceAccountName, pod.Spec.Affinity = shop, account, nil
	if policy != "" {
		pod.Annotations = map[string]string{lockPolicyHint: strings.TrimSpace(policy)}
	}
	return pod
}

func (s *suite) letIn(ctx context.Context, name, account, policy string) error {
	_, err := s.cp.client.CoreV1().Pods(shop).Create(ctx, lockUser(name, account, policy), metav1.CreateOptions{})
	return err
}

func (s *suite) keptOut(ctx context.Context, name, account, policy string) error {
	_, err := s.cp.client.CoreV1().Pods(shop).Create(ctx, lockUser(name, account, policy), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	return forbidden(err, account, strings.TrimSpace(policy))
}

func forbidden(err error, account, policy string) error {
	want := fmt.Sprintf("the ServiceAccount %s may not use the LockPolicy %q", account, policy)
	if err == nil {
		return fmt.Errorf("let in: %s", want)
	}
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), want) {
		return fmt.Errorf("refused by another word: %w", err)
	}
	return nil
}

func (s *suite) renamed(ctx context.Context) error {
	annotate := func(name, policy, other string) error {
		patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:%q,"other":%q}}}`, lockPolicyHint, policy, other)
		_, err := s.cp.client.CoreV1().Pods(shop).Patch(ctx, name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
		return err
	}
	return errors.Join(forbidden(annotate("silent", "teller", "a"), "default", "teller"),
		forbidden(annotate("may", "vault", "a"), "clerk", "vault"), annotate("may", "teller", "b"),
		s.cp.client.RbacV1().RoleBindings(shop).Delete(ctx, "clerk", metav1.DeleteOptions{}),
		annotate("may", "teller", "c"))
}
