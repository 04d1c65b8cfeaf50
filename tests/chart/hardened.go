// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	podsecurity "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// playHardened: what docs/install.md says of the CIS Kubernetes Benchmark, of every set of values.
func (s *suite) playHardened() {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		s.check("the Pod Security Standards", err)
		return
	}
	errs := map[string][]error{}
	pods := 0
	for _, t := range trials {
		if t.name == "nothing" || t.name == "locks" {
			continue
		}
		all, _, err := s.render(shipped, t.values)
		if err != nil {
			errs["render"] = append(errs["render"], err)
			continue
		}
		for _, o := range all {
			if o.at("spec", "template", "spec", "containers") != nil {
				pods++
				for what, err := range s.hardenedPod(evaluator, t, o, all) {
					if err != nil {
						errs[what] = append(errs[what], fmt.Errorf("%s: %s: %w", t.name, o.key(), err))
					}
				}
			}
			if err := leastRules(o); err != nil {
				errs[leastWhat] = append(errs[leastWhat], fmt.Errorf("%s: %s: %w", t.name, o.key(), err))
			}
		}
	}
	if pods < 30 {
		errs["render"] = append(errs["render"], fmt.Errorf("only %d pods", pods))
	}
	s.check("all of it renders", errors.Join(errs["render"]...))
	for _, what := range []string{levelWhat, containerWhat, accountWhat, secretWhat, wallWhat, leastWhat} {
		s.check(what, errors.Join(errs[what]...))
	}
}

const (
	levelWhat     = "hardened: pods pass Kubernetes' own check of `restricted`, the agent's alone lack it where they mount the kubelet's directory"
	containerWhat = "hardened: no escalation, no capability, nothing writable but what is mounted, seccomp, no namespace and no port of the host"
	accountWhat   = "hardened: each pod has an account of its role's own"
	secretWhat    = "hardened: Secrets are files and not variables; images have a version or a digest"
	wallWhat      = "hardened: a NetworkPolicy is about each pod, both ways, unless it is turned off"
	leastWhat     = "hardened: no rule has a wildcard, Secrets, exec, escalation, or pods to create"
)

// into reads a tree into a type of Kubernetes.
func into(tree, out any) error {
	text, err := json.Marshal(tree)
	if err == nil {
		err = json.Unmarshal(text, out)
	}
	return err
}

func (s *suite) hardenedPod(evaluator policy.Evaluator, t trial, o object, all []object) map[string]error {
	var template corev1.PodTemplateSpec
	if err := into(o.at("spec", "template"), &template); err != nil {
		return map[string]error{"render": err}
	}
	spec := &template.Spec
	mounts := slices.ContainsFunc(spec.Volumes, func(v corev1.Volume) bool { return v.HostPath != nil })
	return map[string]error{levelWhat: level(evaluator, o, &template, mounts), containerWhat: contained(spec),
		accountWhat: account(o, spec), secretWhat: secrets(spec), wallWhat: walled(t, o, template.Labels, all)}
}

func level(evaluator policy.Evaluator, o object, template *corev1.PodTemplateSpec, mounts bool) error {
	restricted := podsecurity.LevelVersion{Level: podsecurity.LevelRestricted, Version: podsecurity.LatestVersion()}
	result := policy.AggregateCheckResults(evaluator.EvaluatePod(restricted, &template.ObjectMeta, &template.Spec))
	if !mounts && !result.Allowed {
		return errors.New(result.ForbiddenDetail())
	}
	if !mounts {
		return nil
	}
	if o.text("kind") != "DaemonSet" {
		return errors.New("it mounts something of the host")
	}
	// for hostPath and root, and for nothing else
	reasons := slices.Clone(result.ForbiddenReasons)
	slices.Sort(reasons)
	if !slices.Equal(reasons, []string{"restricted volume types", "runAsNonRoot != true", "runAsUser=0"}) {
		return fmt.Errorf("%q", reasons)
	}
	for _, c := range template.Spec.Containers {
		for _, m := range c.VolumeMounts {
			if !m.ReadOnly && m.Name == "kubelet" {
				return errors.New("it may write to the host")
			}
		}
	}
	return nil
}

func contained(spec *corev1.PodSpec) error {
	if spec.HostNetwork || spec.HostPID || spec.HostIPC {
		return errors.New("it is in a namespace of the host")
	}
	if p := spec.SecurityContext; p == nil || p.SeccompProfile == nil || p.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
		return errors.New("no seccomp profile")
	}
	for _, c := range append(spec.InitContainers, spec.Containers...) {
		x := c.SecurityContext
		switch {
		case x == nil || x.AllowPrivilegeEscalation == nil || *x.AllowPrivilegeEscalation:
			return errors.New("allowPrivilegeEscalation")
		case x.ReadOnlyRootFilesystem == nil || !*x.ReadOnlyRootFilesystem:
			return errors.New("readOnlyRootFilesystem")
		case x.Capabilities == nil || !slices.Equal(x.Capabilities.Drop, []corev1.Capability{"ALL"}) || len(x.Capabilities.Add) > 0:
			return errors.New("capabilities")
		case x.Privileged != nil && *x.Privileged:
			return errors.New("privileged")
		case c.Resources.Requests.Memory().IsZero() || c.Resources.Limits.Memory().IsZero():
			return errors.New("it may take all memory")
		}
		for _, port := range c.Ports {
			if port.HostPort != 0 {
				return errors.New("a port of the host")
			}
		}
	}
	return nil
}

func account(o object, spec *corev1.PodSpec) error {
	if spec.ServiceAccountName == "" || spec.ServiceAccountName == "default" {
		return errors.New("it uses the default account")
	}
	return nil
}

func secrets(spec *corev1.PodSpec) error {
	for _, c := range spec.Containers {
		for _, e := range c.Env {
			if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil {
				return fmt.Errorf("%s is a Secret", e.Name)
			}
		}
		if len(c.EnvFrom) > 0 || !regexp.MustCompile(`(:[0-9]+\.[0-9]+\.[0-9]+|@sha256:[0-9a-f]{64})$`).MatchString(c.Image) {
			return errors.New(c.Image)
		}
	}
	return nil
}

func walled(t trial, o object, of map[string]string, all []object) error {
	for _, other := range all {
		var p networkingv1.NetworkPolicy
		if other.text("kind") != "NetworkPolicy" || other.text("metadata", "namespace") != o.text("metadata", "namespace") {
			continue
		}
		if err := into(other, &p); err != nil {
			return err
		}
		selector, err := metav1.LabelSelectorAsSelector(&p.Spec.PodSelector)
		if err != nil {
			return err
		}
		if selector.Matches(labels.Set(of)) {
			if len(p.Spec.PolicyTypes) != 2 || len(p.Spec.Ingress) == 0 || len(p.Spec.Egress) == 0 {
				return fmt.Errorf("%+v", p.Spec)
			}
			return nil
		}
	}
	if strings.Contains(t.values, "networkPolicy: {enabled: false}") {
		return nil
	}
	return errors.New("no NetworkPolicy")
}

// leastRules: rules that make somebody who got at an account more than numawise. Bindings are the one
// thing that is made of pods, where bind is on.
func leastRules(o object) error {
	if ref := o.text("roleRef", "name"); ref == "cluster-admin" || ref == "admin" || ref == "edit" {
		return errors.New(ref)
	}
	var role rbacv1.ClusterRole
	if !strings.HasSuffix(o.text("kind"), "Role") {
		return nil
	}
	if err := into(map[string]any(o), &role); err != nil || len(role.Rules) == 0 {
		return fmt.Errorf("no rules: %w", err)
	}
	for _, r := range role.Rules {
		for _, word := range slices.Concat(r.Verbs, r.Resources, r.APIGroups) {
			switch word {
			case "*", "secrets", "escalate", "bind", "impersonate", "pods/exec", "pods/attach", "nodes/proxy", "serviceaccounts/token", "deletecollection":
				return errors.New(word)
			}
		}
		if slices.Contains(r.Resources, "pods") && !slices.Equal(r.Verbs, []string{"get"}) && !slices.Equal(r.Verbs, []string{"list", "watch"}) {
			return fmt.Errorf("pods: %q", r.Verbs)
		}
	}
	return nil
}
