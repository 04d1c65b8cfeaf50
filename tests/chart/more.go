// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"helm.sh/helm/v3/pkg/chartutil"
)

// playRenamed: another release in another namespace has other names, and is otherwise the same.
func (s *suite) playRenamed() {
	values := "operator: {enabled: true}\nadmission: {enabled: true, objects: {enabled: true}}\nagent: {namespace: {name: team-a-agents}}\n"
	got, _, err := s.render(release{"blue", "team-a"}, values)
	if err == nil {
		err = s.keep("renamed", got)
	}
	var want []object
	for _, file := range files(extenderFiles, operatorFiles, admissionFiles, []string{"admission/objects.yaml"}, agentFiles, lockFiles) {
		objects, e := load(filepath.Join(s.deploy, "manifests", file))
		err = errors.Join(err, e)
		want = append(want, objects...)
	}
	names := strings.NewReplacer("team-a-agents", "numawise-agent", "team-a", "numawise-system", "blue-numawise", "numawise")
	var back []object
	for _, o := range got {
		text, e := json.Marshal(o)
		var renamed object
		err = errors.Join(err, e, json.Unmarshal([]byte(names.Replace(string(text))), &renamed))
		if renamed.text("metadata", "name") != "numawise-kube-scheduler" {
			back = append(back, renamed)
		}
	}
	if err == nil {
		err = same(want, back)
	}
	s.check("release blue in namespace team-a: the same by other names", err)
	numawise, _, err := s.render(shipped, "")
	if err == nil {
		err = apart(got, numawise)
	}
	s.check("the two can be in one cluster: they share no object, and no selector", err)
}

func apart(a, b []object) error {
	keys, selectors := map[string]bool{}, map[string]bool{}
	for _, o := range a {
		keys[o.key()] = true
		text, _ := json.Marshal(o.at("spec", "selector"))
		selectors[string(text)] = true
	}
	for _, o := range b {
		text, _ := json.Marshal(o.at("spec", "selector"))
		if keys[o.key()] || (string(text) != "null" && selectors[string(text)]) {
			return fmt.Errorf("both have %s %s", o.key(), text)
		}
	}
	return nil
}

// playFault: the comparison notices one verb more, one object less, another number.
func (s *suite) playFault() {
	notices := func(change func(all []object) []object) error {
		want, err := load(filepath.Join(s.deploy, "manifests", "extender-rbac.yaml"))
		deployment, e := load(filepath.Join(s.deploy, "manifests", "extender.yaml"))
		again, e2 := load(filepath.Join(s.deploy, "manifests", "extender-rbac.yaml"))
		deployment2, e3 := load(filepath.Join(s.deploy, "manifests", "extender.yaml"))
		if err = errors.Join(err, e, e2, e3); err != nil {
			return err
		}
		if same(append(want, deployment...), change(append(again, deployment2...))) == nil {
			return errors.New("not noticed")
		}
		return nil
	}
	s.check("the comparison notices a verb more, an object less, another image, another setting", errors.Join(
		notices(func(all []object) []object {
			rule := find(all, "ClusterRole", "numawise-extender")["rules"].([]any)[0].(map[string]any)
			rule["verbs"] = append(rule["verbs"].([]any), "delete")
			return all
		}),
		notices(func(all []object) []object { return all[1:] }),
		notices(func(all []object) []object {
			c := find(all, "Deployment", "numawise-extender").at("spec", "template", "spec", "containers").([]any)[0].(map[string]any)
			c["image"] = "numawise:other"
			return all
		}),
		notices(func(all []object) []object {
			setting(all, "extender", map[string]any{"sparseScores": false})
			return all
		})))
}

// playRefusals: what is misspelt or out of range is refused, by a text that names it.
func (s *suite) playRefusals() {
	for _, wrong := range []struct{ values, named string }{
		{"extender: {replica: 3}", "replica"},
		{"extender: {replicas: 0}", "/extender/replicas"},
		{"extender: {placement: Static}", "/extender/placement"},
		{"extender: {resources: {request: {cpu: 1}}}", "request"},
		{"image: {tg: x}", "tg"},
		{"image: {digest: latest}", "/image/digest"},
		{"config: {topology: {maxage: 5m}}", "maxage"},
		{"config: {topology: {maxAge: 5}}", "/config/topology/maxAge"},
		{"config: {extender: {mode: shadow}}", "/config/extender/mode"},
		{"config: {extender: {shortlist: 5001}}", "/config/extender/shortlist"},
		{"config: {extender: {retry: numawise-retry}}", "/config/extender/retry"},
		{"config: {listeners: {console: {address: 'off'}}}", "listeners"},
		{"config: {operator: {lease: a/b}}", "lease"},
		{"config: {operator: {act: Always}}", "/config/operator/act"},
		{"admission: {webhooks: {ca: YWJj}}", "/admission/webhooks/ca"},
		{"admission: {objects: {failurePolicy: Sometimes}}", "/admission/objects/failurePolicy"},
		{"agent: {kubelet: {directory: kubelet}}", "/agent/kubelet/directory"},
		{"networkPolicy: {apiServerPorts: [https]}", "/networkPolicy/apiServerPorts/0"},
		{"kubeScheduler: {weigth: 1}", "weigth"},
		{"operators: {enabled: true}", "operators"},
	} {
		_, _, err := s.render(shipped, wrong.values)
		if err == nil {
			err = errors.New("it is taken")
		} else if text := err.Error(); strings.Contains(text, "values don't meet the specifications") && strings.Contains(text, wrong.named) {
			err = nil
		}
		s.check("refused, by name: "+wrong.values, err)
	}
}

// playUnsigned: without an issuer there are no certificates, and it says so.
func (s *suite) playUnsigned() {
	_, _, err := s.render(shipped, "certManager: {enabled: true}")
	if err == nil || !strings.Contains(err.Error(), "certManager.issuerRef.name: who signs?") {
		err = fmt.Errorf("rendered, or refused by another word: %w", err)
	} else {
		err = nil
	}
	s.check("certificates that nobody signs are refused", err)
}

// playValues: values.yaml names everything that the schema lets through, so that it can be read there.
func (s *suite) playValues() {
	var schema map[string]any
	err := json.Unmarshal(s.chart.Schema, &schema)
	if err == nil {
		err = shown("", schema, s.chart.Values)
	}
	s.check("every value of the schema is in values.yaml", err)
}

func shown(path string, schema, values map[string]any) error {
	properties, _ := schema["properties"].(map[string]any)
	var errs []error
	for key, sub := range properties {
		at := strings.TrimPrefix(path+"."+key, ".")
		// settings are in docs/reference; resources are Kubernetes' own
		if at == "global" || at == "config" || strings.HasSuffix(path, ".resources") {
			continue
		}
		value, there := values[key]
		if !there {
			errs = append(errs, fmt.Errorf("%s is in the schema only", at))
		}
		if tree, ok := value.(map[string]any); ok {
			errs = append(errs, shown(at, sub.(map[string]any), tree))
		}
	}
	return errors.Join(errs...)
}

// playTakenAway: null, which in Helm takes a default away, is refused where the chart needs the value,
// and everything still renders where it does not.
func (s *suite) playTakenAway() {
	var schema map[string]any
	if err := json.Unmarshal(s.chart.Schema, &schema); err != nil {
		s.check("the schema", err)
		return
	}
	s.lenient = true
	defer func() { s.lenient = false }()
	n, err := s.takeAway(nil, schema, schema["definitions"].(map[string]any), s.chart.Values)
	if err == nil && n < 100 {
		err = fmt.Errorf("only %d", n)
	}
	s.check(fmt.Sprintf("each of %d values can be taken away, or is said to be missing", n), err)
}

// takeAway tries each property of `schema` that has a default, and those below it.
func (s *suite) takeAway(path []string, schema, definitions, defaults map[string]any) (int, error) {
	properties, _ := schema["properties"].(map[string]any)
	required, _ := schema["required"].([]any)
	var errs []error
	n := 0
	for key, sub := range properties {
		value, there := defaults[key]
		if !there {
			continue
		}
		n++
		at := append(slices.Clone(path), key)
		// all that can be on is on
		_, _, err := s.render(shipped, everything+"---\n"+strings.Join(at, ": {")+": null"+strings.Repeat("}", len(path)))
		needed := slices.Contains(required, any(key))
		switch {
		case needed && (err == nil || !strings.Contains(err.Error(), "missing property '"+key+"'")):
			errs = append(errs, fmt.Errorf("%s is needed: %w", strings.Join(at, "."), err))
		case !needed && err != nil:
			errs = append(errs, fmt.Errorf("%s: %w", strings.Join(at, "."), err))
		}
		below := sub.(map[string]any)
		if ref, ok := below["$ref"].(string); ok {
			below = definitions[strings.TrimPrefix(ref, "#/definitions/")].(map[string]any)
		}
		if tree, ok := value.(map[string]any); ok && key != "config" {
			m, err := s.takeAway(at, below, definitions, tree)
			n += m
			errs = append(errs, err)
		}
	}
	return n, errors.Join(errs...)
}

// playLines: kube-scheduler's lines are as the values say, and so is the Service they lead to.
func (s *suite) playLines() {
	got, _, err := s.render(shipped, none+`
extender: {enabled: true, service: {clusterIP: 10.96.0.77, annotations: {note: x}}}
kubeScheduler:
  {url: "https://10.96.0.77:8443/scheduler", weight: 2, httpTimeout: 1s, ignorable: false, nodeCacheCapable: false, percentageOfNodesToScore: 40,
   tls: {caFile: /a, certFile: /b, keyFile: /c}}
`)
	if err == nil {
		service := find(got, "Service", "numawise")
		if service.text("spec", "clusterIP") != "10.96.0.77" || service.text("metadata", "annotations", "note") != "x" {
			err = fmt.Errorf("%v", service)
		}
		lines, e := decode([]byte(find(got, "ConfigMap", "numawise-kube-scheduler").text("data", "config.yaml")))
		want, e2 := load(filepath.Join(s.deploy, "kube-scheduler", "service.yaml"))
		if err = errors.Join(err, e, e2); err == nil {
			want[0]["percentageOfNodesToScore"] = 40.0
			extender := want[0]["extenders"].([]any)[0].(map[string]any)
			for key, value := range map[string]any{"urlPrefix": "https://10.96.0.77:8443/scheduler", "weight": 2.0, "httpTimeout": "1s",
				"ignorable": false, "nodeCacheCapable": false} {
				extender[key] = value
			}
			extender["tlsConfig"] = map[string]any{"serverName": "numawise.numawise-system.svc", "caFile": "/a", "certFile": "/b", "keyFile": "/c"}
			if d := difference("", map[string]any(want[0]), map[string]any(lines[0])); d != "" {
				err = errors.New(d)
			}
		}
	}
	s.check("kube-scheduler's lines are as the values say", err)
}

// playPackage: the archive that Helm makes has the definitions of deploy/crds in it, as files.
func (s *suite) playPackage() {
	dir, err := os.MkdirTemp("", "numawise-chart")
	if err != nil {
		s.check("a temporary directory", err)
		return
	}
	defer os.RemoveAll(dir)
	archive, err := chartutil.Save(s.chart, dir)
	if err == nil {
		err = s.packed(archive)
	}
	s.check("helm package: the definitions of deploy/crds are in the archive, and nothing is a link", err)
}

func (s *suite) packed(archive string) error {
	file, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		return err
	}
	definitions, err := filepath.Glob(filepath.Join(s.deploy, "crds", "*.yaml"))
	if err != nil || len(definitions) == 0 {
		return errors.Join(err, errors.New("there are no definitions"))
	}
	found := map[string]string{}
	for reader := tar.NewReader(unzipped); ; {
		head, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if head.Typeflag != tar.TypeReg {
			return fmt.Errorf("%s is no file", head.Name)
		}
		text, err := io.ReadAll(reader)
		if err != nil {
			return err
		}
		found[head.Name] = string(text)
	}
	for _, definition := range definitions {
		text, err := os.ReadFile(definition)
		if err != nil {
			return err
		}
		if name := "numawise/crds/" + filepath.Base(definition); found[name] != string(text) {
			return fmt.Errorf("%s is not %s", name, definition)
		}
		delete(found, "numawise/crds/"+filepath.Base(definition))
	}
	for name := range found {
		if strings.HasPrefix(name, "numawise/crds/") {
			return fmt.Errorf("%s: deploy/crds has no such file", name)
		}
	}
	return nil
}

// playNotes: whatever is installed, the notes say two commands, and that the certificates are missing.
func (s *suite) playNotes() {
	for _, n := range []struct {
		values string
		say    []string
	}{
		{"", []string{"numawise-extender-tls", "rollout status deployment/numawise-extender", "get configmap numawise-kube-scheduler"}},
		{"extender: {placement: StaticPod}", []string{`{.data.numawise\.yaml}`, `{.data.static-pod\.yaml}`}},
		{none + "operator: {enabled: true}", []string{"statefulset/numawise-operator", "get lease numawise-operator", "numawise-operator-tls"}},
		{none + "admission: {enabled: true}", []string{"deployment/numawise-admission", "get validatingwebhookconfiguration numawise", "numawise-admission-tls"}},
		{none + "agent: {enabled: true}", []string{"daemonset/numawise-agent", "get noderesourcetopologies"}},
	} {
		_, notes, err := s.render(shipped, n.values)
		commands := 0
		for _, line := range strings.Split(notes, "\n") {
			if strings.HasPrefix(line, "  kubectl ") {
				commands++
			}
		}
		for _, text := range n.say {
			if !strings.Contains(notes, text) {
				err = errors.Join(err, fmt.Errorf("nothing of %s:\n%s", text, notes))
			}
		}
		if commands != 2 {
			err = errors.Join(err, fmt.Errorf("%d commands:\n%s", commands, notes))
		}
		s.check("the notes say the next two commands: "+strings.ReplaceAll(n.values, "\n", " "), err)
	}
}
