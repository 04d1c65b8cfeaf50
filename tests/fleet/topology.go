// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/cpuset"
	"numawise.dev/tests/kubelet"
)

// Topologies is the resource of NodeResourceTopology objects.
var Topologies = schema.GroupVersionResource{Group: "topology.node.k8s.io", Version: "v1alpha2", Resource: "noderesourcetopologies"}

const ours = "orchestration.gokore.io/"

type attributes []any

func (a *attributes) set(name, value string) {
	*a = append(*a, map[string]any{"name": name, "value": value})
}

// kept are all, or those that are not ours.
func (a attributes) kept(plain bool) []any {
	list := []any{}
	for _, entry := range a {
		if name := entry.(map[string]any)["name"].(string); !plain || !strings.HasPrefix(name, ours) {
			list = append(list, entry)
		}
	}
	return list
}

func asJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // plain values only
	}
	return string(text)
}

// topology is the node as an agent publishes it: everything that decides (docs/nodes.md). Plain:
// without our attributes, as other exporters do.
func topology(name string, k *kubelet.Kubelet, generation int, observed time.Time, plain bool) *unstructured.Unstructured {
	node, state := k.Node(), k.State()
	var at attributes
	c := node.Kubelet
	at.set("topologyManagerPolicy", c.TopologyManagerPolicy)
	at.set("topologyManagerScope", c.TopologyManagerScope)
	at.set(ours+"cpu-manager-policy", c.CPUManagerPolicy)
	at.set(ours+"memory-manager-policy", c.MemoryManagerPolicy)
	at.set(ours+"cpu-manager-policy-options", options(c.CPUManagerPolicyOptions))
	at.set(ours+"topology-manager-policy-options", options(c.TopologyManagerPolicyOptions))
	at.set(ours+"reserved-cpus", k.ReservedCPUs())
	at.set(ours+"generation", strconv.Itoa(generation))
	at.set(ours+"observed-at", observed.UTC().Format("2006-01-02T15:04:05.000000Z07:00"))
	at.set(ours+"placements", asJSON(placements(k)))
	at.set(ours+"devices", asJSON(devices(node)))
	var zones []any
	for _, zone := range node.Zones {
		zones = append(zones, describeZone(node, zone, state, k.ReservedCPUs(), plain))
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": Topologies.Group + "/" + Topologies.Version,
		"kind":       "NodeResourceTopology",
		"metadata":   map[string]any{"name": name},
		"attributes": at.kept(plain),
		"zones":      zones,
	}}
}

func options(set map[string]string) string {
	var list []string
	for name, value := range set {
		list = append(list, name+"="+value)
	}
	slices.Sort(list)
	return strings.Join(list, ",")
}

type containerPlacement struct {
	CPUs    string              `json:"cpus"`
	Memory  []kubelet.Block     `json:"memory,omitempty"`
	Devices map[string][]string `json:"devices,omitempty"`
}

type podPlacement struct {
	UID        string                        `json:"uid"`
	Containers map[string]containerPlacement `json:"containers"`
}

func placements(k *kubelet.Kubelet) map[string]podPlacement {
	all := map[string]podPlacement{}
	for _, pod := range k.Active() {
		p := podPlacement{UID: string(pod.UID), Containers: map[string]containerPlacement{}}
		for _, c := range k.Containers(pod) {
			held := containerPlacement{Memory: c.Memory, Devices: c.Devices}
			if c.CPUs != nil {
				held.CPUs = *c.CPUs
			}
			p.Containers[c.Name] = held
		}
		all[pod.Namespace+"/"+pod.Name] = p
	}
	return all
}

type deviceAttribute struct {
	ID      string `json:"id"`
	Zones   []int  `json:"zones"`
	Healthy bool   `json:"healthy"`
}

func devices(node kubelet.Node) map[string][]deviceAttribute {
	all := map[string][]deviceAttribute{}
	for _, d := range node.Devices {
		all[d.Resource] = append(all[d.Resource], deviceAttribute{d.ID, append([]int{}, d.Zones...), d.Healthy})
	}
	return all
}

func zoneName(id int) string { return "node-" + strconv.Itoa(id) }

func describeZone(node kubelet.Node, zone kubelet.Zone, state kubelet.State, reserved string, plain bool) map[string]any {
	var at attributes
	var cores, cpus, groups []string
	l3 := map[int]cpuset.CPUSet{}
	all := cpuset.New()
	for _, core := range zone.Cores {
		set := cpuset.New(core.CPUs...)
		cores = append(cores, set.String())
		all = all.Union(set)
		l3[core.Uncore] = l3[core.Uncore].Union(set)
	}
	for _, set := range l3 {
		groups = append(groups, set.String())
	}
	slices.Sort(groups)
	kept, _ := cpuset.Parse(reserved)
	kept = kept.Intersection(all)
	free := all
	if text, exclusive := state.FreeCPUs[strconv.Itoa(zone.ID)]; exclusive {
		set, _ := cpuset.Parse(text)
		free = set.Union(kept)
	}
	cpus = append(cpus, all.String())
	if len(zone.Cores) > 0 {
		at.set(ours+"socket", strconv.Itoa(zone.Cores[0].Socket))
	}
	at.set(ours+"cpus", strings.Join(cpus, ","))
	at.set(ours+"free-cpus", free.String())
	at.set(ours+"cores", strings.Join(cores, ";"))
	at.set(ours+"l3", strings.Join(groups, ";"))
	resources := []any{resourceInfo("cpu", all.Size(), all.Size()-kept.Size(), free.Difference(kept).Size())}
	resources = append(resources, describeMemory(&at, zone, state)...)
	resources = append(resources, describeDevices(node, zone, state)...)
	var costs []any
	for i, other := range node.Zones {
		costs = append(costs, map[string]any{"name": zoneName(other.ID), "value": int64(zone.Distances[i])})
	}
	return map[string]any{"name": zoneName(zone.ID), "type": "Node", "costs": costs, "attributes": at.kept(plain), "resources": resources}
}

func resourceInfo[N int | uint64](name string, capacity, allocatable, available N) any {
	return map[string]any{"name": name, "capacity": fmt.Sprint(capacity), "allocatable": fmt.Sprint(allocatable), "available": fmt.Sprint(available)}
}

func describeMemory(at *attributes, zone kubelet.Zone, state kubelet.State) []any {
	memory, static := state.Memory[strconv.Itoa(zone.ID)]
	usable := map[string]uint64{"memory": zone.Memory.Total - zone.Memory.Reserved}
	total := map[string]uint64{"memory": zone.Memory.Total}
	for name, amount := range zone.HugePages {
		usable["memory"] -= amount.Total
		usable[name], total[name] = amount.Total-amount.Reserved, amount.Total
	}
	var list []any
	names := []string{}
	for name := range total {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		free := usable[name]
		if static {
			free = memory.Free[name]
			at.set(ours+name+"-free", strconv.FormatUint(free, 10))
		}
		list = append(list, resourceInfo(name, total[name], usable[name], free))
	}
	if static {
		var cells []string
		for _, id := range memory.Cells {
			cells = append(cells, strconv.Itoa(id))
		}
		at.set(ours+"memory-cells", strings.Join(cells, ","))
		at.set(ours+"memory-assignments", strconv.Itoa(memory.Assignments))
	}
	return list
}

func describeDevices(node kubelet.Node, zone kubelet.Zone, state kubelet.State) []any {
	type count struct{ all, healthy, free int }
	counts := map[string]count{}
	for _, d := range node.Devices {
		if !slices.Contains(d.Zones, zone.ID) {
			continue
		}
		c := counts[d.Resource]
		c.all++
		if d.Healthy {
			c.healthy++
		}
		if slices.Contains(state.FreeDevices[d.Resource], d.ID) {
			c.free++
		}
		counts[d.Resource] = c
	}
	var list []any
	names := []string{}
	for name := range counts {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		list = append(list, resourceInfo(name, counts[name].all, counts[name].healthy, counts[name].free))
	}
	return list
}
