// SPDX-License-Identifier: Apache-2.0

package kubelet

import (
	"math/rand/v2"
	"reflect"
	"sort"
	"strconv"

	v1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/pkg/kubelet/cm/cpumanager"
	"k8s.io/kubernetes/pkg/kubelet/cm/memorymanager"
	"k8s.io/kubernetes/pkg/kubelet/cm/memorymanager/state"
	"k8s.io/kubernetes/pkg/kubelet/cm/topologymanager"
)

// State is what can still be given, in the form of the recorded vectors.
type State struct {
	FreeCPUs    map[string]string     `json:"freeCPUs"`              // by zone; empty with CPU manager none
	Memory      map[string]ZoneMemory `json:"memory,omitempty"`      // by zone; absent with Memory Manager None
	FreeDevices map[string][]string   `json:"freeDevices,omitempty"` // healthy and held by nobody
}

// ZoneMemory is the memory manager's view of a zone.
type ZoneMemory struct {
	Assignments int               `json:"assignments"`
	Cells       []int             `json:"cells"`
	Free        map[string]uint64 `json:"free"`
	Reserved    map[string]uint64 `json:"reserved"`
}

// Container is what a container was given.
type Container struct {
	Name      string              `json:"name"`
	Hinted    bool                `json:"hinted"`
	Affinity  []int               `json:"affinity"`
	Preferred bool                `json:"preferred"`
	CPUs      *string             `json:"cpus"` // nil: the shared pool
	Memory    []Block             `json:"memory"`
	Devices   map[string][]string `json:"devices"`
}

// Block is memory of one type in one or several zones.
type Block struct {
	Zones []int  `json:"zones"`
	Type  string `json:"type"`
	Bytes uint64 `json:"bytes"`
}

// State returns what is free now.
func (k *Kubelet) State() State {
	s := State{FreeCPUs: map[string]string{}}
	if k.node.Kubelet.CPUManagerPolicy == "static" {
		s.FreeCPUs = k.node.byZone(cpumanager.Free(k.cpus))
	}
	if k.node.Kubelet.MemoryManagerPolicy == "Static" {
		s.Memory = map[string]ZoneMemory{}
		for id, zone := range k.memory.State().GetMachineState() {
			s.Memory[strconv.Itoa(id)] = zoneMemory(zone)
		}
	}
	if len(k.node.Devices) > 0 {
		s.FreeDevices = k.devices.Free()
	}
	return s
}

func zoneMemory(zone *state.NUMANodeState) ZoneMemory {
	m := ZoneMemory{
		Assignments: zone.NumberOfAssignments,
		Cells:       append([]int{}, zone.Cells...),
		Free:        map[string]uint64{},
		Reserved:    map[string]uint64{},
	}
	sort.Ints(m.Cells)
	for name, table := range zone.MemoryMap {
		m.Free[string(name)] = table.Free
		m.Reserved[string(name)] = table.Reserved
	}
	return m
}

// Containers returns what each container of a pod holds, init containers first.
func (k *Kubelet) Containers(pod *v1.Pod) []Container {
	list := []Container{}
	for _, name := range containerNames(pod) {
		list = append(list, k.container(string(pod.UID), name))
	}
	return list
}

func (k *Kubelet) container(uid, name string) Container {
	c := Container{Name: name, Memory: []Block{}, Devices: k.devices.Held(uid, name)}
	hint, stored := topologymanager.Stored(k.topology, uid, name)
	c.Hinted, c.Preferred = stored, hint.Preferred
	if hint.NUMANodeAffinity != nil {
		c.Affinity = hint.NUMANodeAffinity.GetBits()
	}
	if set, exclusive := k.cpus.State().GetCPUSet(uid, name); exclusive {
		text := set.String()
		c.CPUs = &text
	}
	for _, block := range k.memory.GetMemory(uid, name) {
		zones := append([]int{}, block.NUMAAffinity...)
		sort.Ints(zones)
		c.Memory = append(c.Memory, Block{Zones: zones, Type: string(block.Type), Bytes: block.Size})
	}
	sort.Slice(c.Memory, func(i, j int) bool { return c.Memory[i].Type < c.Memory[j].Type })
	return c
}

// mostOrders is how many orders of release are compared; up to five containers that is all.
const mostOrders = 120

// ReleaseIsOrdered says whether the state after the end of a pod depends on the order in which
// its containers are released. A kubelet's order is random.
func (k *Kubelet) ReleaseIsOrdered(pod *v1.Pod) bool {
	names := containerNames(pod)
	uid := string(pod.UID)
	first := memorymanager.AfterRelease(k.memory, uid, names)
	for _, order := range orders(names) {
		if !reflect.DeepEqual(first, memorymanager.AfterRelease(k.memory, uid, order)) {
			return true
		}
	}
	return false
}

// orders returns all orders of a few names, some orders of many.
func orders(names []string) [][]string {
	var all [][]string
	var permute func(order []string, i int)
	permute = func(order []string, i int) {
		if i == len(order) {
			all = append(all, append([]string{}, order...))
			return
		}
		for j := i; j < len(order); j++ {
			order[i], order[j] = order[j], order[i]
			permute(order, i+1)
			order[i], order[j] = order[j], order[i]
		}
	}
	if len(names) <= 5 {
		permute(append([]string{}, names...), 0)
		return all
	}
	r := rand.New(rand.NewPCG(1, uint64(len(names)))) // the same each time
	for range mostOrders {
		order := append([]string{}, names...)
		r.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		all = append(all, order)
	}
	return all
}
