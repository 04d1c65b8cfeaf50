// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	extender "k8s.io/kube-scheduler/extender/v1"
	fwk "k8s.io/kube-scheduler/framework"
	kubescheduler "k8s.io/kubernetes/pkg/scheduler"
	schedulerconfig "k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/framework"
)

// playClient puts odd pods and many nodes through the very code with which kube-scheduler calls an
// extender, in both modes.
func (s *suite) playClient(ctx context.Context) {
	pods, nodes, err := loadRecorded(s.data)
	if err == nil && (len(pods) == 0 || len(nodes) == 0) {
		err = errors.New("none found")
	}
	if !s.check(fmt.Sprintf("%d recorded pods and %d recorded nodes are read", len(pods), len(nodes)), err) {
		return
	}
	pods = append(append(pods, s.world.templates...), oddPods()...)
	tee, err := newTee(s.nw)
	if err != nil {
		s.check("a connection is made", err)
		return
	}
	url := tee.url(s.nw)

	nodes = append(nodes, s.world.nodes...)
	for _, try := range []struct {
		mode  string
		names bool
		nodes []fwk.NodeInfo
	}{
		{"NodeNames", true, infos(nodes, 0)},
		{"Nodes", false, infos(nodes, 0)},
		{"NodeNames, 5000 nodes", true, infos(nodes, 5000)},
		{"Nodes, 300 nodes", false, infos(nodes, 300)},
		{"NodeNames, 1 node", true, infos(nodes[:1], 0)},
	} {
		s.check(fmt.Sprintf("%s: %d pods, filter and prioritize account for each of %d nodes", try.mode,
			len(pods), len(try.nodes)), callAll(url, try.names, pods, try.nodes))
	}
	if got := tee.connections(); got != 5 {
		err = fmt.Errorf("%d connections", got)
	}
	s.check("each of the five clients kept one connection", err)
}

func callAll(url string, names bool, pods []*v1.Pod, nodes []fwk.NodeInfo) error {
	client, err := kubescheduler.NewHTTPExtender(&schedulerconfig.Extender{
		URLPrefix: url, FilterVerb: "filter", PrioritizeVerb: "prioritize", Weight: 1,
		NodeCacheCapable: names, HTTPTimeout: metav1.Duration{Duration: 5 * time.Second}})
	if err != nil {
		return err
	}
	for _, pod := range pods {
		if err := callOnce(client, pod, nodes); err != nil {
			return fmt.Errorf("pod %s: %w", pod.Name, err)
		}
	}
	return nil
}

// callOnce: filter accounts for each node once; prioritize gives each survivor 0..10 once.
func callOnce(client fwk.Extender, pod *v1.Pod, nodes []fwk.NodeInfo) error {
	passed, failed, unresolvable, err := client.Filter(pod, nodes)
	if err != nil {
		return fmt.Errorf("filter: %w", err)
	}
	left := map[string]bool{}
	for _, n := range nodes {
		left[n.Node().Name] = true
	}
	take := func(name string) error {
		if !left[name] {
			return fmt.Errorf("filter: node %q is unknown or there twice", name)
		}
		delete(left, name)
		return nil
	}
	for _, n := range passed {
		if err := take(n.Node().Name); err != nil {
			return err
		}
	}
	for _, failures := range []extender.FailedNodesMap{failed, unresolvable} {
		for name := range failures {
			if err := take(name); err != nil {
				return err
			}
		}
	}
	if len(left) > 0 {
		return fmt.Errorf("filter: %d nodes are neither passed nor failed", len(left))
	}
	return scoreOnce(client, pod, passed)
}

func scoreOnce(client fwk.Extender, pod *v1.Pod, nodes []fwk.NodeInfo) error {
	scores, _, err := client.Prioritize(pod, nodes)
	if err != nil {
		return fmt.Errorf("prioritize: %w", err)
	}
	left := map[string]bool{}
	for _, n := range nodes {
		left[n.Node().Name] = true
	}
	for _, score := range *scores {
		if !left[score.Host] || score.Score < 0 || score.Score > extender.MaxExtenderPriority {
			return fmt.Errorf("prioritize: %+v is unknown, there twice, or out of range", score)
		}
		delete(left, score.Host)
	}
	if len(left) > 0 {
		return fmt.Errorf("prioritize: %d nodes have no score", len(left))
	}
	return nil
}

// infos are the nodes as kube-scheduler holds them; `count` > 0: so many, by renamed copies.
func infos(nodes []*v1.Node, count int) []fwk.NodeInfo {
	var all []fwk.NodeInfo
	for i := 0; i < max(count, len(nodes)); i++ {
		node := nodes[i%len(nodes)]
		if i >= len(nodes) {
			copied := *node
			copied.Name = fmt.Sprintf("%s-%d", node.Name, i)
			node = &copied
		}
		info := framework.NewNodeInfo()
		info.SetNode(node)
		all = append(all, info)
	}
	return all
}

// loadRecorded reads the pods and nodes out of the requests that are kept uncompressed.
func loadRecorded(dir string) ([]*v1.Pod, []*v1.Node, error) {
	files, err := filepath.Glob(filepath.Join(dir, "filter-*.http"))
	if err != nil {
		return nil, nil, err
	}
	var pods []*v1.Pod
	byName := map[string]*v1.Node{}
	for _, file := range files {
		args, err := readRecorded(file)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", file, err)
		}
		pods = append(pods, args.Pod)
		if args.Nodes != nil {
			for i := range args.Nodes.Items {
				byName[args.Nodes.Items[i].Name] = &args.Nodes.Items[i]
			}
		}
	}
	var nodes []*v1.Node
	for _, node := range byName {
		nodes = append(nodes, node)
	}
	return pods, nodes, nil
}

func readRecorded(file string) (*extender.ExtenderArgs, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	request, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(text)))
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return nil, err
	}
	args := &extender.ExtenderArgs{}
	return args, json.Unmarshal(body, args)
}

// oddPods are pods that the API server would let through, or nearly.
func oddPods() []*v1.Pod {
	one := func(name string, change func(*v1.Pod)) *v1.Pod {
		pod := pinned(name, 2, "")
		pod.Spec.Affinity = nil
		pod.UID = "00000000-0000-0000-0000-000000000000"
		change(pod)
		return pod
	}
	amount := func(pod *v1.Pod, resourceName v1.ResourceName, text string) {
		pod.Spec.Containers[0].Resources.Requests[resourceName] = resource.MustParse(text)
	}
	always := v1.ContainerRestartPolicyAlways
	return []*v1.Pod{
		one("no-containers", func(p *v1.Pod) { p.Spec.Containers = nil }),
		one("no-resources", func(p *v1.Pod) { p.Spec.Containers[0].Resources = v1.ResourceRequirements{} }),
		one("nothing-but-a-name", func(p *v1.Pod) { *p = v1.Pod{ObjectMeta: metav1.ObjectMeta{Name: p.Name}} }),
		one("fractions", func(p *v1.Pod) { amount(p, "cpu", "1.0005"); amount(p, "memory", "0.5Gi") }),
		one("nano", func(p *v1.Pod) { amount(p, "cpu", "1n"); amount(p, "memory", "1m") }),
		one("exponent", func(p *v1.Pod) { amount(p, "cpu", "3e2"); amount(p, "memory", "1E") }),
		one("the-largest-number", func(p *v1.Pod) { amount(p, "memory", "9223372036854775807") }),
		one("beyond-the-largest-number", func(p *v1.Pod) { amount(p, "example.com/thing", "1e30") }),
		one("negative", func(p *v1.Pod) { amount(p, "cpu", "-1") }),
		one("zero", func(p *v1.Pod) { amount(p, "nvidia.com/gpu", "0") }),
		one("unknown-device", func(p *v1.Pod) { amount(p, "vendor.example/fpga-x", "3") }),
		one("hugepages-of-odd-size", func(p *v1.Pod) { amount(p, "hugepages-3Mi", "6Mi") }),
		one("200-containers", func(p *v1.Pod) {
			for i := 1; i < 200; i++ {
				c := *p.Spec.Containers[0].DeepCopy()
				c.Name = fmt.Sprintf("c%d", i)
				p.Spec.Containers = append(p.Spec.Containers, c)
			}
		}),
		one("sidecar", func(p *v1.Pod) {
			c := *p.Spec.Containers[0].DeepCopy()
			c.RestartPolicy = &always
			p.Spec.InitContainers = []v1.Container{c, *p.Spec.Containers[0].DeepCopy()}
		}),
		one("pod-level-resources", func(p *v1.Pod) { p.Spec.Resources = p.Spec.Containers[0].Resources.DeepCopy() }),
		one("overhead", func(p *v1.Pod) { p.Spec.Overhead = v1.ResourceList{"cpu": resource.MustParse("250m")} }),
		one("resource-claim", func(p *v1.Pod) {
			p.Spec.ResourceClaims = []v1.PodResourceClaim{{Name: "gpu"}}
			p.Spec.Containers[0].Resources.Claims = []v1.ResourceClaim{{Name: "gpu"}}
		}),
		one("long-annotation", func(p *v1.Pod) {
			p.Annotations = map[string]string{"example.com/long": strings.Repeat("ü\"\\\u2028<", 20000)}
		}),
		one("broken-hints", func(p *v1.Pod) {
			p.Annotations = map[string]string{"orchestration.gokore.io/weights": "{", "orchestration.gokore.io/numa-policy": "\x00",
				"orchestration.gokore.io/qos-class": "", "orchestration.gokore.io/network-bandwidth": "-1e999G"}
		}),
		one(strings.Repeat("n", 253), func(p *v1.Pod) { p.Namespace = strings.Repeat("s", 63) }),
	}
}
