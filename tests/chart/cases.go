// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	certificates "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	sigsyaml "sigs.k8s.io/yaml"
)

// A set of values, and which plain files say the same.
type trial struct {
	name   string
	values string
	files  []string                  // below deploy/manifests
	change func(objects *[]object)   // what is then otherwise in them
	lines  map[string]string         // of the ConfigMap for kube-scheduler's hosts: key and file below deploy/kube-scheduler
	more   func(more []object) error // about what no plain file has: Services and ServiceMonitors of the console
}

// All that can be on.
const everything = "operator: {enabled: true, resize: true}\nadmission: {enabled: true, objects: {enabled: true}}\nconfig: {operator: {act: Enforce}, extender: {bind: true, preempt: true, retry: numawise-system/numawise-retry}}\n" +
	"kubeScheduler: {ignorable: true}\nconsole: {service: {enabled: true}}\n"

const none = "extender: {enabled: false}\noperator: {enabled: false}\nadmission: {enabled: false}\nagent: {enabled: false}\nlocks: {admission: {enabled: false}}\n---\n"

var (
	extenderFiles  = []string{"extender-rbac.yaml", "extender.yaml", "events/rbac.yaml"}
	operatorFiles  = []string{"operator-rbac.yaml", "operator.yaml"}
	admissionFiles = []string{"admission/rbac.yaml", "admission/admission.yaml", "admission/webhooks.yaml"}
	agentFiles     = []string{"agent/00-namespace.yaml", "agent/rbac.yaml", "agent/admission.yaml", "agent/agent.yaml"}
	lockFiles      = []string{"locks/admission.yaml"}
	service        = map[string]string{"config.yaml": "service.yaml"}
)

func files(lists ...[]string) []string {
	var all []string
	for _, list := range lists {
		all = append(all, list...)
	}
	return all
}

var trials = []trial{
	{name: "default", values: "", files: files(extenderFiles, agentFiles, lockFiles), lines: service},
	{name: "everything", values: everything,
		files: files(extenderFiles, operatorFiles, admissionFiles, agentFiles, lockFiles, []string{"act/rbac.yaml", "admission/objects.yaml", "bind/rbac.yaml", "preempt/rbac.yaml", "resize/rbac.yaml", "retry/rbac.yaml"}),
		change: func(all *[]object) {
			setting(*all, "extender", map[string]any{"sparseScores": true, "bind": true, "preempt": true, "retry": "numawise-system/numawise-retry"})
			setting(*all, "operator", map[string]any{"act": "Enforce", "lease": "numawise-system/numawise-operator"})
		}, more: services(4)},
	{name: "nothing", values: none},
	{name: "extender", values: none + "extender: {enabled: true}\n", files: extenderFiles, lines: service},
	{name: "operator", values: none + "operator: {enabled: true}\n", files: operatorFiles},
	{name: "act", values: none + "operator: {enabled: true}\nconfig: {operator: {act: Enforce}}\n", files: files(operatorFiles, []string{"act/rbac.yaml"}),
		change: func(all *[]object) {
			setting(*all, "operator", map[string]any{"act": "Enforce", "lease": "numawise-system/numawise-operator"})
		}},
	{name: "resize", values: none + "operator: {enabled: true, resize: true}\n", files: files(operatorFiles, []string{"resize/rbac.yaml"})},
	{name: "dry-run", values: none + "operator: {enabled: true}\nconfig: {operator: {act: DryRun}}\n", files: operatorFiles,
		change: func(all *[]object) {
			setting(*all, "operator", map[string]any{"act": "DryRun", "lease": "numawise-system/numawise-operator"})
		}},
	{name: "admission", values: none + "admission: {enabled: true}\n", files: admissionFiles},
	{name: "admission-ca", values: none + "admission: {enabled: true, objects: {enabled: true, failurePolicy: Fail},\n" +
		"  webhooks: {ca: \"" + ca + "\", annotations: {note: x}, exemptNamespaces: [kube-system, ops]}}\nconfig: {admission: {predict: false}, source: {events: true}}\n",
		files: files(admissionFiles, []string{"admission/objects.yaml"}), change: withCA},
	{name: "agent", values: none + "agent: {enabled: true}\n", files: agentFiles},
	{name: "locks", values: none + "locks: {admission: {enabled: true}}\n", files: lockFiles},
	{name: "bind", values: none + "extender: {enabled: true}\nconfig: {extender: {bind: true}}\n", files: files(extenderFiles, []string{"bind/rbac.yaml"}),
		change: func(all *[]object) { setting(*all, "extender", map[string]any{"sparseScores": true, "bind": true}) }},
	{name: "preempt", values: none + "extender: {enabled: true}\nconfig: {extender: {preempt: true}}\n", files: files(extenderFiles, []string{"preempt/rbac.yaml"}),
		change: func(all *[]object) { setting(*all, "extender", map[string]any{"sparseScores": true, "preempt": true}) }},
	{name: "retry", values: none + "extender: {enabled: true}\nconfig: {extender: {retry: numawise-system/numawise-retry}}\n",
		files: files(extenderFiles, []string{"retry/rbac.yaml"}), lines: service,
		change: func(all *[]object) {
			setting(*all, "extender", map[string]any{"sparseScores": true, "retry": "numawise-system/numawise-retry"})
		}},
	{name: "no-events", values: none + "extender: {enabled: true}\nconfig: {source: {events: false}}\n", files: []string{"extender-rbac.yaml", "extender.yaml"}, lines: service,
		change: func(all *[]object) { setting(*all, "source", map[string]any{"events": false}) }},
	{name: "settings", values: none + "extender: {enabled: true}\noperator: {enabled: true}\nconfig: {topology: {maxAge: 2m}, decisions: {maxBytes: 16Mi}, logging: {format: json},\n" +
		"  signals: {prometheus: {address: 'http://prometheus.monitoring:9090', queries: {networkBandwidth: nic}}}}\n",
		files: files(extenderFiles, operatorFiles), lines: service,
		change: func(all *[]object) {
			setting(*all, "topology", map[string]any{"maxAge": "2m"})
			setting(*all, "decisions", map[string]any{"maxBytes": "16Mi"})
			setting(*all, "logging", map[string]any{"format": "json"})
			setting(*all, "signals", map[string]any{"prometheus": map[string]any{"address": "http://prometheus.monitoring:9090",
				"queries": map[string]any{"networkBandwidth": "nic"}}})
		}},
	{name: "static-pod", values: none + "extender: {enabled: true, placement: StaticPod}\n", files: []string{"extender-rbac.yaml", "events/rbac.yaml"},
		lines: map[string]string{"config.yaml": "config.yaml", "numawise.yaml": "numawise.yaml", "static-pod.yaml": "static-pod.yaml"}},
	{name: "static-pod-bind", values: none + "extender: {enabled: true, placement: StaticPod}\nconfig: {extender: {bind: true}}\n",
		files: []string{"extender-rbac.yaml", "events/rbac.yaml", "bind/rbac.yaml"},
		lines: map[string]string{"config.yaml": "bind.yaml", "static-pod.yaml": "static-pod.yaml"}},
	{name: "no-network-policies", values: "admission: {enabled: true}\noperator: {enabled: true}\nnetworkPolicy: {enabled: false}\n", files: files(extenderFiles, operatorFiles, admissionFiles, agentFiles, lockFiles),
		lines: service, change: drop(func(o object) bool { return o.text("kind") == "NetworkPolicy" })},
	{name: "no-budgets", values: "admission: {enabled: true, podDisruptionBudget: {enabled: false}}\noperator: {enabled: true, podDisruptionBudget: {enabled: false}}\nextender: {podDisruptionBudget: {enabled: false}}\n",
		files: files(extenderFiles, operatorFiles, admissionFiles, agentFiles, lockFiles), lines: service,
		change: drop(func(o object) bool { return o.text("kind") == "PodDisruptionBudget" })},
	{name: "no-rules", values: "admission: {enabled: true}\noperator: {enabled: true}\nrbac: {create: false}\n", files: files(extenderFiles, operatorFiles, admissionFiles, agentFiles, lockFiles), lines: service,
		change: drop(func(o object) bool { return o.text("apiVersion") == "rbac.authorization.k8s.io/v1" })},
	{name: "no-accounts", values: none + "extender: {enabled: true, serviceAccount: {create: false, name: theirs}}\nagent: {enabled: true, serviceAccount: {create: false, name: others}}\n",
		files: files(extenderFiles, agentFiles), lines: service, change: theirAccounts},
	{name: "agent-that-asks-no-kubelet", values: none + "agent: {enabled: true, kubelet: {server: false}}\n", files: agentFiles, change: withoutServer},
	{name: "agent-without-mount", values: none + "agent: {enabled: true, namespace: {create: false}, kubelet: {mount: false}, admission: {enabled: false}}\n",
		files: []string{"agent/rbac.yaml", "agent/agent.yaml"}, change: withoutMount},
	{name: "console", values: none + "extender: {enabled: true}\nconsole: {service: {enabled: true}}\n", files: extenderFiles, lines: service, more: services(1)},
	{name: "monitors", values: "admission: {enabled: true}\noperator: {enabled: true}\nserviceMonitor: {enabled: true, labels: {release: prometheus}}\n",
		files: files(extenderFiles, operatorFiles, admissionFiles, agentFiles, lockFiles), lines: service, more: monitors},
	{name: "certificates", values: "operator: {enabled: true}\nadmission: {enabled: true}\ncertManager: {enabled: true, issuerRef: {name: numawise}}\n",
		files: files(extenderFiles, operatorFiles, admissionFiles, agentFiles, lockFiles), lines: service, more: certified, change: injected},
	{name: "extras", values: extras, files: files(extenderFiles, operatorFiles, admissionFiles, agentFiles), lines: service, change: withExtras},
}

// find is the one object of a kind and name.
func find(all []object, kind, name string) object {
	for _, o := range all {
		if o.text("kind") == kind && o.text("metadata", "name") == name {
			return o
		}
	}
	panic(fmt.Sprintf("there is no %s %s", kind, name))
}

// setting changes a block of the settings in every plain ConfigMap; what one role alone reads, in its own.
func setting(all []object, block string, value any) {
	for _, o := range all {
		role := strings.TrimPrefix(o.text("metadata", "name"), "numawise-")
		if o.text("kind") != "ConfigMap" || ((block == "extender" || block == "operator" || block == "admission") && role != block) {
			continue
		}
		var tree map[string]any
		data := o.at("data").(map[string]any)
		if err := sigsyaml.UnmarshalStrict([]byte(data["numawise.yaml"].(string)), &tree); err != nil {
			panic(err)
		}
		tree[block] = value
		text, err := sigsyaml.Marshal(tree)
		if err != nil {
			panic(err)
		}
		data["numawise.yaml"] = string(text)
	}
}

func drop(which func(object) bool) func(*[]object) {
	return func(all *[]object) {
		var left []object
		for _, o := range *all {
			if !which(o) {
				left = append(left, o)
			}
		}
		*all = left
	}
}

func theirAccounts(all *[]object) {
	drop(func(o object) bool { return o.text("kind") == "ServiceAccount" })(all)
	for old, name := range map[string]string{"extender": "theirs", "agent": "others"} {
		for _, o := range *all {
			if subjects, ok := o.at("subjects").([]any); ok {
				for _, s := range subjects {
					if s := s.(map[string]any); s["kind"] == "ServiceAccount" && s["name"] == "numawise-"+old {
						s["name"] = name
					}
				}
			}
			if spec, ok := o.at("spec", "template", "spec").(map[string]any); ok && spec["serviceAccountName"] == "numawise-"+old {
				spec["serviceAccountName"] = name
			}
		}
	}
	condition := find(*all, "ValidatingAdmissionPolicy", "numawise-agent-own-node").at("spec", "matchConditions").([]any)[0].(map[string]any)
	condition["expression"] = "request.userInfo.username == 'system:serviceaccount:numawise-agent:others'"
}

func withoutServer(all *[]object) {
	rule := find(*all, "ClusterRole", "numawise-agent").at("rules").([]any)[0].(map[string]any)
	rule["resources"] = []any{"nodes"}
	c := find(*all, "DaemonSet", "numawise-agent").at("spec", "template", "spec", "containers").([]any)[0].(map[string]any)
	c["args"] = c["args"].([]any)[:2]
	c["env"] = c["env"].([]any)[1:]
	policy := find(*all, "NetworkPolicy", "numawise-agent").at("spec").(map[string]any)
	policy["egress"] = policy["egress"].([]any)[:1]
}

func withoutMount(all *[]object) {
	spec := find(*all, "DaemonSet", "numawise-agent").at("spec", "template", "spec").(map[string]any)
	delete(spec, "volumes")
	delete(spec["containers"].([]any)[0].(map[string]any), "volumeMounts")
	spec["securityContext"] = map[string]any{"runAsNonRoot": true, "runAsUser": 65532.0, "runAsGroup": 65532.0,
		"seccompProfile": map[string]any{"type": "RuntimeDefault"}}
}

const ca = "-----BEGIN CERTIFICATE-----\\nMA==\\n-----END CERTIFICATE-----\\n"

func withCA(all *[]object) {
	setting(*all, "admission", map[string]any{"predict": false})
	for _, name := range []string{"numawise", "numawise-objects"} {
		configuration := find(*all, "ValidatingWebhookConfiguration", name)
		configuration["metadata"].(map[string]any)["annotations"] = map[string]any{"note": "x"}
		for _, w := range configuration["webhooks"].([]any) {
			hook := w.(map[string]any)
			hook["clientConfig"].(map[string]any)["caBundle"] = base64.StdEncoding.EncodeToString([]byte(strings.ReplaceAll(ca, "\\n", "\n")))
			if name == "numawise-objects" {
				hook["failurePolicy"] = "Fail"
				continue
			}
			expression := hook["namespaceSelector"].(map[string]any)["matchExpressions"].([]any)[0].(map[string]any)
			expression["values"] = []any{"kube-system", "ops", "numawise-system"}
		}
	}
}

const extras = `locks: {admission: {enabled: false}}
image: {repository: registry.example/numawise, digest: "sha256:` + digest + `", pullPolicy: Always}
imagePullSecrets: [{name: pull}]
extender: &more
  enabled: true
  schedulerName: plain
  podLabels: {team: scheduling}
  podAnnotations: {note: x}
  extraArgs: [--listen=console=0.0.0.0:8789]
  extraEnv: [{name: A, value: b}]
  extraVolumes: [{name: token, secret: {secretName: prometheus}}]
  extraVolumeMounts: [{name: token, mountPath: /etc/numawise/prometheus}]
operator: *more
admission: *more
agent:
  podLabels: {team: scheduling}
  podAnnotations: {note: x}
  kubelet: {directory: /data/kubelet}
  extraArgs: [--podresources=off]
  extraEnv: [{name: A, value: b}]
  extraVolumes: [{name: token, secret: {secretName: prometheus}}]
  extraVolumeMounts: [{name: token, mountPath: /etc/numawise/prometheus}]
networkPolicy:
  apiServerPorts: [6443]
  consoleFrom: [{namespaceSelector: {matchLabels: {a: b}}}]
  extraEgress: [{ports: [{protocol: TCP, port: 9090}]}]
`

const digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func withExtras(all *[]object) {
	for name, kind := range map[string]string{"numawise-extender": "Deployment", "numawise-operator": "StatefulSet",
		"numawise-admission": "Deployment", "numawise-agent": "DaemonSet"} {
		template := find(*all, kind, name).at("spec", "template").(map[string]any)
		meta, spec := template["metadata"].(map[string]any), template["spec"].(map[string]any)
		meta["labels"].(map[string]any)["team"] = "scheduling"
		meta["annotations"].(map[string]any)["note"] = "x"
		spec["imagePullSecrets"] = []any{map[string]any{"name": "pull"}}
		c := spec["containers"].([]any)[0].(map[string]any)
		c["image"], c["imagePullPolicy"] = "registry.example/numawise@sha256:"+digest, "Always"
		if kind == "DaemonSet" {
			c["args"] = append(c["args"].([]any), "--kubelet-dir=/data/kubelet", "--podresources=off")
			c["volumeMounts"].([]any)[0].(map[string]any)["mountPath"] = "/data/kubelet"
			spec["volumes"].([]any)[0].(map[string]any)["hostPath"].(map[string]any)["path"] = "/data/kubelet"
			const plugins = "/var/lib/kubelet/device-plugins"
			c["volumeMounts"] = append(c["volumeMounts"].([]any), map[string]any{"name": "device-plugins", "mountPath": plugins, "readOnly": true})
			spec["volumes"] = append(spec["volumes"].([]any), map[string]any{"name": "device-plugins", "hostPath": map[string]any{"path": plugins, "type": "Directory"}})
		} else {
			spec["schedulerName"] = "plain"
			c["args"] = append(c["args"].([]any), "--listen=console=0.0.0.0:8789")
		}
		env, _ := c["env"].([]any)
		c["env"] = append(env, map[string]any{"name": "A", "value": "b"})
		c["volumeMounts"] = append(c["volumeMounts"].([]any), map[string]any{"name": "token", "mountPath": "/etc/numawise/prometheus"})
		spec["volumes"] = append(spec["volumes"].([]any), map[string]any{"name": "token", "secret": map[string]any{"secretName": "prometheus"}})
		policy := find(*all, "NetworkPolicy", name).at("spec").(map[string]any)
		policy["egress"] = []any{map[string]any{"ports": []any{map[string]any{"protocol": "TCP", "port": 6443.0}}},
			map[string]any{"ports": []any{map[string]any{"protocol": "TCP", "port": 9090.0}}}}
		if kind == "DaemonSet" {
			policy["egress"] = append(policy["egress"].([]any), map[string]any{"ports": []any{map[string]any{"protocol": "TCP", "port": 10250.0}}})
		}
		for _, rule := range policy["ingress"].([]any) {
			from, _ := rule.(map[string]any)["from"].([]any)
			for _, f := range from {
				if selector := f.(map[string]any)["namespaceSelector"].(map[string]any); len(selector) > 0 {
					selector["matchLabels"] = map[string]any{"a": "b"}
				}
			}
		}
	}
}

// playCases renders every set of values, and holds it against the plain files.
func (s *suite) playCases() {
	for _, t := range trials {
		s.check(fmt.Sprintf("%s: it renders what the plain files say (%d)", t.name, len(t.files)+len(t.lines)), s.try(t))
	}
}

func (s *suite) try(t trial) error {
	got, _, err := s.render(shipped, t.values)
	if err != nil {
		return err
	}
	var want, left, more []object
	for _, file := range t.files {
		objects, err := load(filepath.Join(s.deploy, "manifests", file))
		if err != nil {
			return err
		}
		want = append(want, objects...)
	}
	if t.change != nil {
		t.change(&want)
	}
	var host object
	for _, o := range got {
		switch {
		case o.key() == "v1 ConfigMap numawise-system/numawise-kube-scheduler":
			host = o
		case o.text("kind") == "ServiceMonitor", o.text("kind") == "Certificate", strings.HasSuffix(o.text("metadata", "name"), "-console"), strings.HasSuffix(o.text("metadata", "name"), "-metrics"):
			more = append(more, o)
		default:
			left = append(left, o)
		}
	}
	errs := []error{same(want, left), s.lines(t, host), s.settled(t.name, got), s.keep(t.name, got)}
	if t.more != nil {
		errs = append(errs, t.more(more))
	} else if len(more) > 0 {
		errs = append(errs, fmt.Errorf("%d objects more than anybody asked for", len(more)))
	}
	return errors.Join(errs...)
}

// lines: the files for the hosts of kube-scheduler are those of deploy/kube-scheduler.
func (s *suite) lines(t trial, host object) error {
	if t.lines == nil {
		return nil
	}
	if host == nil {
		return errors.New("there is no ConfigMap for kube-scheduler's hosts")
	}
	var errs []error
	for key, file := range t.lines {
		want, err := load(filepath.Join(s.deploy, "kube-scheduler", file))
		if err != nil {
			return err
		}
		got, err := decode([]byte(host.text("data", key)))
		if err != nil || len(got) != 1 {
			errs = append(errs, fmt.Errorf("%s: %d documents: %w", key, len(got), err))
			continue
		}
		if d := difference("", map[string]any(want[0]), map[string]any(got[0])); d != "" {
			errs = append(errs, fmt.Errorf("%s: %s", file, d))
		}
	}
	return errors.Join(errs...)
}

// settled: numawise takes every settings file that is in a ConfigMap.
func (s *suite) settled(name string, all []object) error {
	var errs []error
	for _, o := range all {
		text := o.text("data", "numawise.yaml")
		if text == "" {
			continue
		}
		file := filepath.Join(s.out, "settings", name+"-"+o.text("metadata", "name")+".yaml")
		if err := write(file, []byte(text)); err != nil {
			return err
		}
		said, err := exec.Command(s.numawise, "check", file).CombinedOutput()
		if err != nil || !strings.Contains(string(said), "1 objects checked") {
			errs = append(errs, fmt.Errorf("numawise check: %w\n%s", err, said))
		}
	}
	return errors.Join(errs...)
}

// keep writes what the API server of tests/e2e is asked about: all but what it has no definition of.
func (s *suite) keep(name string, all []object) error {
	var known []object
	for _, o := range all {
		if api := o.text("apiVersion"); api != "monitoring.coreos.com/v1" && api != "cert-manager.io/v1" {
			known = append(known, o)
		}
	}
	text, err := encode(known)
	if err != nil || len(known) == 0 {
		return err
	}
	return write(filepath.Join(s.out, name+".yaml"), text)
}

func write(file string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o644)
}

// services: so many Services of consoles, each of the port of some container.
func services(want int) func([]object) error {
	return func(all []object) error {
		n := 0
		for _, o := range all {
			if o.text("kind") != "Service" {
				continue
			}
			n++
			port := o.at("spec", "ports").([]any)[0].(map[string]any)
			if ports := map[string]any{"console": 8789.0, "metrics": 8790.0}; ports[port["name"].(string)] != port["port"] || port["targetPort"] != port["name"] {
				return fmt.Errorf("%s: %v", o.key(), port)
			}
		}
		if n != want {
			return fmt.Errorf("%d Services of consoles", n)
		}
		return nil
	}
}

// monitors: the ServiceMonitors are such as Prometheus' operator defines, and select the Services.
func monitors(all []object) error {
	if err := services(4)(all); err != nil {
		return err
	}
	n := 0
	for _, o := range all {
		if o.text("kind") != "ServiceMonitor" {
			continue
		}
		n++
		text, err := json.Marshal(o)
		if err != nil {
			return err
		}
		var m monitoring.ServiceMonitor
		if err := sigsyaml.UnmarshalStrict(text, &m); err != nil {
			return fmt.Errorf("%s: %w", o.key(), err)
		}
		s := find(all, "Service", m.Name)
		labels, _ := s.at("metadata", "labels").(map[string]any)
		for key, value := range m.Spec.Selector.MatchLabels {
			if labels[key] != value {
				return fmt.Errorf("%s: it does not select the Service: %s", m.Name, key)
			}
		}
		if m.Namespace != s.text("metadata", "namespace") || len(m.Spec.Selector.MatchLabels) < 4 || m.Labels["release"] != "prometheus" {
			return fmt.Errorf("%s: %s", m.Name, text)
		}
		if port := s.at("spec", "ports").([]any)[0].(map[string]any); len(m.Spec.Endpoints) != 1 || m.Spec.Endpoints[0].Port != port["name"] || m.Spec.Endpoints[0].Path != "/metrics" {
			return fmt.Errorf("%s: %+v", m.Name, m.Spec.Endpoints)
		}
	}
	if n != 4 {
		return fmt.Errorf("%d ServiceMonitors", n)
	}
	return nil
}

func injected(all *[]object) {
	find(*all, "ValidatingWebhookConfiguration", "numawise")["metadata"].(map[string]any)["annotations"] =
		map[string]any{"cert-manager.io/inject-ca-from": "numawise-system/numawise-admission"}
}

// certified: the Certificates are such as cert-manager defines, for the Secrets that pods mount and the
// names of the Services in front of them; kube-scheduler's has the name that the extender lets in.
func certified(all []object) error {
	want := map[string]string{"numawise-extender-tls": "numawise.numawise-system.svc",
		"numawise-operator-tls":       "numawise-operator.numawise-system.svc *.numawise-operator-replicas.numawise-system.svc",
		"numawise-admission-tls":      "numawise-admission.numawise-system.svc",
		"numawise-kube-scheduler-tls": "system:kube-scheduler"}
	for _, o := range all {
		text, err := json.Marshal(o)
		if err != nil {
			return err
		}
		var c certificates.Certificate
		if err := sigsyaml.UnmarshalStrict(text, &c); err != nil {
			return fmt.Errorf("%s: %w", o.key(), err)
		}
		usage := certificates.UsageServerAuth
		if c.Spec.CommonName != "" {
			usage = certificates.UsageClientAuth
		}
		if got := strings.TrimSpace(c.Spec.CommonName + strings.Join(c.Spec.DNSNames, " ")); got != want[c.Spec.SecretName] || c.Namespace != "numawise-system" ||
			!slices.Equal(c.Spec.Usages, []certificates.KeyUsage{certificates.UsageDigitalSignature, usage}) ||
			c.Spec.IssuerRef.Name != "numawise" || c.Spec.IssuerRef.Kind != "Issuer" {
			return fmt.Errorf("%s", text)
		}
		delete(want, c.Spec.SecretName)
	}
	if len(want) > 0 {
		return fmt.Errorf("no Certificate for %v", want)
	}
	return nil
}
