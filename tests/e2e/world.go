// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
)

// What a directory of manifests holds of the kinds that kube-apiserver is to know too.
type manifests struct {
	namespaces map[string]bool
	accounts   map[string]bool // namespace/name
	classes    []*schedulingv1.PriorityClass
	nodes      []*v1.Node
	pods       []*v1.Pod
	templates  []*v1.Pod // of workloads; the name is the workload's
}

// loadManifests reads every *.yaml, *.yml and *.json below `dir`, in the order of their paths.
func loadManifests(dir string) (*manifests, error) {
	m := &manifests{namespaces: map[string]bool{}, accounts: map[string]bool{}}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		switch filepath.Ext(path) {
		case ".yaml", ".yml", ".json":
		default:
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := m.addStream(text); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		return nil
	})
	return m, err
}

func (m *manifests) addStream(text []byte) error {
	decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	for {
		var raw runtime.RawExtension
		if err := decoder.Decode(&raw); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := m.addRaw(raw.Raw); err != nil {
			return err
		}
	}
}

func (m *manifests) addRaw(raw []byte) error {
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	object, _, err := scheme.Codecs.UniversalDeserializer().Decode(raw, nil, nil)
	if runtime.IsNotRegisteredError(err) {
		return nil // NodeResourceTopology and our own kinds: numawise alone reads them
	}
	if err != nil {
		return err
	}
	return m.add(object)
}

func (m *manifests) add(object runtime.Object) error {
	switch o := object.(type) {
	case *v1.List:
		for _, item := range o.Items {
			if err := m.addRaw(item.Raw); err != nil {
				return err
			}
		}
	case *v1.NodeList:
		for i := range o.Items {
			m.nodes = append(m.nodes, &o.Items[i])
		}
	case *v1.PodList:
		for i := range o.Items {
			m.addPod(&o.Items[i])
		}
	case *v1.Namespace:
		m.namespaces[o.Name] = true
	case *v1.ServiceAccount:
		m.addAccount(o.Namespace, o.Name)
	case *schedulingv1.PriorityClass:
		m.classes = append(m.classes, o)
	case *v1.Node:
		m.nodes = append(m.nodes, o)
	case *v1.Pod:
		m.addPod(o)
	case *appsv1.Deployment:
		m.addTemplate(o.ObjectMeta, o.Spec.Template)
	case *appsv1.StatefulSet:
		m.addTemplate(o.ObjectMeta, o.Spec.Template)
	case *appsv1.ReplicaSet:
		m.addTemplate(o.ObjectMeta, o.Spec.Template)
	case *batchv1.Job:
		m.addTemplate(o.ObjectMeta, o.Spec.Template)
	case *batchv1.CronJob:
		m.addTemplate(o.ObjectMeta, o.Spec.JobTemplate.Spec.Template)
	}
	return nil
}

func (m *manifests) addAccount(namespace, name string) {
	if namespace == "" {
		namespace = "default"
	}
	if name == "" {
		name = "default"
	}
	m.namespaces[namespace] = true
	m.accounts[namespace+"/"+name] = true
	m.accounts[namespace+"/default"] = true
}

func (m *manifests) addPod(pod *v1.Pod) {
	if pod.Namespace == "" {
		pod.Namespace = "default"
	}
	m.addAccount(pod.Namespace, pod.Spec.ServiceAccountName)
	if pod.Spec.NodeName == "" {
		m.templates = append(m.templates, pod)
	} else {
		m.pods = append(m.pods, pod)
	}
}

func (m *manifests) addTemplate(owner metav1.ObjectMeta, template v1.PodTemplateSpec) {
	pod := &v1.Pod{ObjectMeta: template.ObjectMeta, Spec: template.Spec}
	pod.Name = owner.Name
	pod.Namespace = owner.Namespace
	m.addPod(pod)
}

// fresh is the metadata that a client may send when it creates an object.
func fresh(meta metav1.ObjectMeta) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: meta.Name, Namespace: meta.Namespace, Labels: meta.Labels,
		Annotations: meta.Annotations}
}

// create puts everything but the templates into the API server.
func (m *manifests) create(ctx context.Context, cp *controlPlane) error {
	core := cp.client.CoreV1()
	for _, name := range sortedKeys(m.namespaces) {
		namespace := &v1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		_, err := core.Namespaces().Create(ctx, namespace, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
	for _, key := range sortedKeys(m.accounts) {
		namespace, name, _ := strings.Cut(key, "/")
		account := &v1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace}}
		_, err := core.ServiceAccounts(namespace).Create(ctx, account, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
	for _, class := range m.classes {
		class.ObjectMeta = fresh(class.ObjectMeta)
		_, err := cp.client.SchedulingV1().PriorityClasses().Create(ctx, class, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
	for _, node := range m.nodes {
		if err := cp.createNode(ctx, node); err != nil {
			return fmt.Errorf("node %s: %w", node.Name, err)
		}
	}
	for _, pod := range m.pods {
		if err := cp.createPlacedPod(ctx, pod); err != nil {
			return fmt.Errorf("pod %s/%s: %w", pod.Namespace, pod.Name, err)
		}
	}
	return nil
}

func (cp *controlPlane) createNode(ctx context.Context, node *v1.Node) error {
	nodes := cp.client.CoreV1().Nodes()
	created, err := nodes.Create(ctx, &v1.Node{ObjectMeta: fresh(node.ObjectMeta), Spec: node.Spec},
		metav1.CreateOptions{})
	if err != nil {
		return err
	}
	created.Status = node.Status
	_, err = nodes.UpdateStatus(ctx, created, metav1.UpdateOptions{})
	return err
}

// createPlacedPod plays scheduler and kubelet for a pod that is on a node when the story begins.
func (cp *controlPlane) createPlacedPod(ctx context.Context, pod *v1.Pod) error {
	pods := cp.client.CoreV1().Pods(pod.Namespace)
	created, err := pods.Create(ctx, acceptable(pod), metav1.CreateOptions{})
	if err != nil {
		return err
	}
	created.Status = pod.Status
	_, err = pods.UpdateStatus(ctx, created, metav1.UpdateOptions{})
	return err
}

// acceptable is the pod without what only the API server may say.
func acceptable(pod *v1.Pod) *v1.Pod {
	sent := &v1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: fresh(pod.ObjectMeta), Spec: *pod.Spec.DeepCopy()}
	sent.Spec.Priority = nil // admission computes it from the class
	sent.Spec.PreemptionPolicy = nil
	return sent
}

// recordPod writes a pod as the API server shows it into numawise's directory.
func recordPod(cluster string, pod *v1.Pod) error {
	shown := pod.DeepCopy()
	shown.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}
	shown.ManagedFields = nil // as kubectl prints it
	text, err := json.Marshal(shown)
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(cluster, "bound", pod.Namespace+"_"+pod.Name+".json"), text)
}

func nodeNames(list *v1.NodeList) []string {
	if list == nil {
		return nil
	}
	var names []string
	for i := range list.Items {
		names = append(names, list.Items[i].Name)
	}
	return names
}

func sortedKeys(set map[string]bool) []string {
	var keys []string
	for key := range set {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}

// topologyIn finds a node's NodeResourceTopology in a stream of documents.
func topologyIn(text []byte, node string) map[string]any {
	decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	for {
		var tree map[string]any
		if decoder.Decode(&tree) != nil {
			return nil
		}
		items, _ := tree["items"].([]any)
		for _, candidate := range append(items, tree) {
			object, _ := candidate.(map[string]any)
			meta, _ := object["metadata"].(map[string]any)
			if object["kind"] == "NodeResourceTopology" && meta["name"] == node {
				return object
			}
		}
	}
}
