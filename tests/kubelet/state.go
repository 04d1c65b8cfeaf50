// SPDX-License-Identifier: Apache-2.0

package kubelet

import (
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

// ReleaseIsOrdered says whether the state after the end of a pod depends on the order in which
// its containers are released. A kubelet's order is random.
func (k *Kubelet) ReleaseIsOrdered(pod *v1.Pod) bool {
	names := containerNames(pod)
	uid := string(pod.UID)
	first := memorymanager.AfterRelease(k.memory, uid, names)
	differs := false
	permute(names, 0, func(order []string) bool {
		differs = !reflect.DeepEqual(first, memorymanager.AfterRelease(k.memory, uid, order))
		return !differs
	})
	return differs
}

// permute calls f with every order of names from position i on until f returns false.
func permute(names []string, i int, f func([]string) bool) bool {
	if i == len(names) {
		return f(names)
	}
	for j := i; j < len(names); j++ {
		names[i], names[j] = names[j], names[i]
		more := permute(names, i+1, f)
		names[i], names[j] = names[j], names[i]
		if !more {
			return false
		}
	}
	return true
}
