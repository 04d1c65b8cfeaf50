// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

const refusal = "numawise: TopologyAffinityError"

// playPending: a pod fits a node as a whole but none of its zones. It waits, says why, is asked
// about again, still waits; and is bound as soon as a node comes whose kubelet would take it.
func (s *suite) playPending(ctx context.Context) {
	node, pod, err := s.findUnfit("unfit")
	if !s.check("there is a node with room in all but in no single zone", err) {
		return
	}
	allow(pod, node.Name+"-late") // which is not there yet
	fmt.Printf("        %s asks for %s CPUs on %s\n", pod.Name,
		pod.Spec.Containers[0].Resources.Requests.Cpu(), node.Name)
	if !s.check("it is created", s.create(ctx, pod)) {
		return
	}
	s.check("its condition names the kubelet's reason", s.waitCondition(ctx, pod, refusal))
	s.check("so does its event", s.waitEvent(ctx, pod, refusal))
	s.check("a change of the node has it tried again, and it still waits", s.tryAgain(ctx, pod, node.Name))
	if !s.playLateNode(ctx, node, pod) {
		_ = s.remove(ctx, pod) // or it disturbs what comes later
	}
}

// findUnfit makes a pod for a node: nearly all of its free CPUs, which no zone has.
func (s *suite) findUnfit(name string) (*v1.Node, *v1.Pod, error) {
	placed, err := loadManifests(s.cluster)
	if err != nil {
		return nil, nil, err
	}
	for _, node := range placed.nodes {
		left := placed.free(node)
		cpus := left.Cpu().Value() / 2 * 2 // whole cores, where a core has two threads
		if left.Cpu().MilliValue() < cpus*1000 {
			cpus -= 2
		}
		if cpus < 2 {
			continue
		}
		pod := pinned(name, cpus, node.Name)
		said, err := explain(s.binary, s.work, s.cluster, pod)
		if err != nil {
			return nil, nil, err
		}
		if n := said.node(node.Name); n != nil && "numawise: "+n.Reason == refusal {
			fmt.Printf("        explain: %s: %s\n", node.Name, n.Message)
			return node, pod, s.agree(unborn(pod), said)
		}
	}
	return nil, nil, errors.New("none")
}

// pinned is a Guaranteed pod that only the one node may take.
func pinned(name string, cpus int64, node string) *v1.Pod {
	amounts := v1.ResourceList{v1.ResourceCPU: *resource.NewQuantity(cpus, resource.DecimalSI),
		v1.ResourceMemory: resource.MustParse("64Mi")}
	pod := &v1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"}}
	pod.Spec.Containers = []v1.Container{{Name: "main", Image: "registry.example/main:1",
		Resources: v1.ResourceRequirements{Requests: amounts, Limits: amounts}}}
	pod.Spec.Tolerations = []v1.Toleration{{Operator: v1.TolerationOpExists}}
	pod.Spec.Affinity = &v1.Affinity{NodeAffinity: &v1.NodeAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: &v1.NodeSelector{}}}
	allow(pod, node)
	return pod
}

// allow lets one more node take a pinned pod.
func allow(pod *v1.Pod, node string) {
	required := pod.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	required.NodeSelectorTerms = append(required.NodeSelectorTerms, v1.NodeSelectorTerm{
		MatchFields: []v1.NodeSelectorRequirement{
			{Key: "metadata.name", Operator: v1.NodeSelectorOpIn, Values: []string{node}}}})
}

func (s *suite) tryAgain(ctx context.Context, pod *v1.Pod, node string) error {
	calls, err := s.callsFor(pod, "filter")
	if err != nil {
		return err
	}
	if err := s.touch(ctx, node); err != nil {
		return err
	}
	if err := s.waitCalls(ctx, pod, "filter", len(calls)); err != nil {
		return fmt.Errorf("filter was not called again: %w", err)
	}
	return s.waitCondition(ctx, pod, refusal)
}

// playLateNode adds a node to both worlds: the same machine, whose kubelet is less strict.
func (s *suite) playLateNode(ctx context.Context, like *v1.Node, pod *v1.Pod) bool {
	late := like.DeepCopy()
	late.ObjectMeta = fresh(like.ObjectMeta)
	late.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Node"}
	late.Name = like.Name + "-late"
	if late.Labels[v1.LabelHostname] != "" {
		late.Labels[v1.LabelHostname] = late.Name
	}
	if !s.check("a node is added to the directory while numawise runs", s.addToDirectory(late, like.Name)) {
		return false
	}
	s.all = append(s.all, late.Name)
	said, err := explain(s.binary, s.work, s.cluster, pod)
	if err == nil {
		if n := said.node(late.Name); n == nil || n.Verdict != "Admitted" {
			err = fmt.Errorf("explain says of %s: %+v", late.Name, n)
		} else {
			err = s.agree(unborn(pod), said)
		}
	}
	if !s.check("the running server takes it in", err) {
		return false
	}
	row := ""
	if err = s.cp.createNode(ctx, late); err == nil {
		row, err = s.confirm(ctx, pod, said)
	}
	return s.check("the waiting pod is bound to it: "+row, err)
}

// addToDirectory writes a node, and the topology of another one as its own, with policy best-effort.
func (s *suite) addToDirectory(node *v1.Node, like string) error {
	topology, err := findTopology(s.cluster, like)
	if err != nil {
		return err
	}
	topology["metadata"] = map[string]any{"name": node.Name}
	topology["topologyPolicies"] = []any{"BestEffort"}
	attributes, _ := topology["attributes"].([]any)
	for _, entry := range attributes {
		if a, ok := entry.(map[string]any); ok && a["name"] == "topologyManagerPolicy" {
			a["value"] = "best-effort"
		}
	}
	for _, zone := range topology["zones"].([]any) { // nothing runs there yet
		resources, _ := zone.(map[string]any)["resources"].([]any)
		for _, entry := range resources {
			r := entry.(map[string]any)
			r["available"] = r["allocatable"]
		}
	}
	text, err := yaml.Marshal(topology)
	if err != nil {
		return err
	}
	nodeText, err := yaml.Marshal(node)
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(s.cluster, "late", node.Name+".yaml"),
		append(append(nodeText, "---\n"...), text...))
}

// findTopology is the NodeResourceTopology of a node, as a tree.
func findTopology(dir, node string) (map[string]any, error) {
	var found map[string]any
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || found != nil {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		found = topologyIn(text, node)
		return nil
	})
	if err == nil && found == nil {
		err = fmt.Errorf("no NodeResourceTopology of %s in the directory", node)
	}
	return found, err
}

// playRestart: without numawise pods wait, as `ignorable` is false; with it they are bound.
func (s *suite) playRestart(ctx context.Context) {
	pod, said, err := s.nextFit("restart")
	if err == nil {
		err = s.agree(unborn(pod), said)
	}
	if !s.check("there is a pod that fits", err) {
		return
	}
	s.nw.kill()
	if !s.check("a pod is created while numawise is dead", s.create(ctx, pod)) {
		return
	}
	s.check("it waits, and says that the extender failed", s.waitCondition(ctx, pod, "/filter"))
	if s.nw, err = s.ps.startNumawise(s.binary, s.work, s.cluster); err == nil {
		s.tee.retarget(s.nw)
	}
	if !s.check("numawise starts again", err) {
		return
	}
	row, err := s.confirm(ctx, pod, said)
	s.check("the pod is bound: "+row, err)
}

// nextFit is a pod of the first workload that some node still takes.
func (s *suite) nextFit(suffix string) (*v1.Pod, *explanation, error) {
	for _, template := range s.world.templates {
		pod := instance(template, suffix)
		said, err := s.fits(pod)
		if err != nil || said != nil {
			return pod, said, err
		}
	}
	return nil, nil, errors.New("no workload fits any more")
}

// fits explains a pod, if a node that has room for it as a whole is one that numawise lets pass;
// nil: there is none.
func (s *suite) fits(pod *v1.Pod) (*explanation, error) {
	now, err := loadManifests(s.cluster)
	if err != nil {
		return nil, err
	}
	said, err := explain(s.binary, s.work, s.cluster, pod)
	if err != nil || len(said.passing(now.roomFor(pod))) == 0 {
		return nil, err
	}
	return said, nil
}

// playNodesMode: another kube-scheduler, which sends whole Node objects.
func (s *suite) playNodesMode(ctx context.Context) {
	s.sched.kill()
	var err error
	if s.sched, err = s.cp.startScheduler(observable("kube-scheduler nodes", s.tee.url(s.nw), false)); err != nil {
		s.check("kube-scheduler starts", err)
		return
	}
	s.playPods(ctx, 2, "f")
	s.check("kube-scheduler never said that a prioritize failed", s.prioritizeFailures(s.sched))
	calls, err := s.tee.exchanges()
	if last := len(calls) - 1; err == nil && (last < 0 || calls[last].args.Nodes == nil || calls[last].args.NodeNames != nil) {
		err = errors.New("the last call named nodes instead")
	}
	s.check("the calls held Node objects", err)
}

// playDirect leaves the tee out: kube-scheduler has the very address that numawise has written, and
// what it asked is read from the console. Of the scores it reads only what lies above the lowest.
func (s *suite) playDirect(ctx context.Context) {
	s.sched.kill()
	err := s.nw.terminate(10 * time.Second)
	if err == nil {
		s.nw, err = s.startSparse()
		s.sparse = true
	}
	if !s.check("numawise starts with extender.sparseScores", err) {
		return
	}
	s.sched, err = s.cp.startScheduler(observable("kube-scheduler direct", s.nw.extender.String(), true))
	if !s.check("kube-scheduler starts with urlPrefix "+s.nw.extender.String(), err) {
		return
	}
	pod, said, err := s.nextFit("direct")
	if err == nil {
		err = s.agree(unborn(pod), said)
	}
	if err == nil {
		err = s.create(ctx, pod)
	}
	if !s.check("a pod that fits is created", err) {
		return
	}
	row, err := s.confirmDirect(ctx, pod, said)
	s.check("it is bound where explain said: "+row, err)
	s.check("kube-scheduler never said that a prioritize failed", s.prioritizeFailures(s.sched))
}

func (s *suite) startSparse() (*numawise, error) {
	config := filepath.Join(s.work, "sparse.yaml")
	text := "apiVersion: numawise.config.gokore.io/v1alpha1\nkind: NumawiseConfiguration\n" +
		"extender: {sparseScores: true}\n"
	if err := writeFile(config, []byte(text)); err != nil {
		return nil, err
	}
	return s.ps.startNumawise(s.binary, s.work, s.cluster, "--config", config)
}

func (s *suite) confirmDirect(ctx context.Context, pod *v1.Pod, said *explanation) (string, error) {
	bound, err := s.waitBound(ctx, pod)
	if err != nil {
		return "", err
	}
	kept, err := s.decisionOf(bound)
	if err != nil {
		return bound.Spec.NodeName, err
	}
	p := &placement{pod: bound, said: said}
	for _, n := range kept.Nodes {
		p.asked = append(p.asked, n.Name)
	}
	if best := said.best(p.asked); !contains(best, bound.Spec.NodeName) {
		return bound.Spec.NodeName, fmt.Errorf("the best of the nodes asked about: %v", best)
	}
	return bound.Spec.NodeName + ", of " + said.summary(p.asked),
		errors.Join(p.sameAs(kept), s.record(bound))
}

// playControl shows that it was numawise that made the pod wait.
func (s *suite) playControl(ctx context.Context) {
	node, pod, err := s.findUnfit("unfit-control")
	if !s.check("there is a node with room in all but in no single zone", err) {
		return
	}
	s.sched.kill()
	if s.sched, err = s.cp.startScheduler(observable("kube-scheduler alone", "", true)); err == nil {
		err = s.create(ctx, pod)
	}
	var bound *v1.Pod
	if err == nil {
		bound, err = s.waitBound(ctx, pod)
	}
	if err == nil && bound.Spec.NodeName != node.Name {
		err = fmt.Errorf("bound to %s", bound.Spec.NodeName)
	}
	s.check(fmt.Sprintf("kube-scheduler alone binds it to %s, whose kubelet would refuse it", node.Name), err)
}

func (s *suite) playEnd(ctx context.Context) {
	s.check("numawise ends with 0 at SIGTERM", s.nw.terminate(10*time.Second))
}
