// SPDX-License-Identifier: Apache-2.0

// Package kubelet holds the kubelet's own resource managers (Topology, CPU, Memory and Device
// Manager of k8s.io/kubernetes), wired as the kubelet wires them, on machines that are only
// described: what a kubelet would do with a pod, without a node, a runtime or a plugin.
//
// It builds only where the files of _added are part of the upstream packages; tests/support/go.sh
// makes such a tree.
package kubelet

import (
	"fmt"
	"sort"
	"strconv"
	"strings"

	cadvisorapi "github.com/google/cadvisor/info/v1"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	pluginapi "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
	kubeletconfig "k8s.io/kubernetes/pkg/kubelet/apis/config"
	"k8s.io/utils/cpuset"
)

// Node is a machine and the configuration of its kubelet, in the form of the recorded vectors
// (tests/data/kubelet-vectors/README.md). Memory is in bytes.
type Node struct {
	Zones   []Zone   `json:"zones"`
	Devices []Device `json:"devices,omitempty"`
	Kubelet Config   `json:"kubelet"`
}

// Zone is a NUMA zone.
type Zone struct {
	ID        int               `json:"id"`
	Distances []uint64          `json:"distances"` // in the order of the zones
	Cores     []Core            `json:"cores"`
	Memory    Amount            `json:"memory"`
	HugePages map[string]Amount `json:"hugepages,omitempty"` // by resource name
}

// Core is a physical core; CPUs are its threads.
type Core struct {
	Socket int   `json:"socket"`
	Uncore int   `json:"uncore"` // id of its L3 cache
	CPUs   []int `json:"cpus"`
}

// Amount is memory of one kind in one zone.
type Amount struct {
	Total    uint64 `json:"total"`
	Reserved uint64 `json:"reserved,omitempty"`
}

// Device is a device that a plugin has registered.
type Device struct {
	Resource string `json:"resource"`
	ID       string `json:"id"`
	Zones    []int  `json:"zones,omitempty"` // none: no topology
	Healthy  bool   `json:"healthy"`
}

// Config is the part of KubeletConfiguration that decides.
type Config struct {
	TopologyManagerPolicy        string            `json:"topologyManagerPolicy"`
	TopologyManagerScope         string            `json:"topologyManagerScope"`
	TopologyManagerPolicyOptions map[string]string `json:"topologyManagerPolicyOptions,omitempty"`
	CPUManagerPolicy             string            `json:"cpuManagerPolicy"`
	CPUManagerPolicyOptions      map[string]string `json:"cpuManagerPolicyOptions,omitempty"`
	ReservedCPUs                 string            `json:"reservedCPUs,omitempty"`
	ReservedCPUCount             int               `json:"reservedCPUCount,omitempty"` // where the CPU manager chooses
	MemoryManagerPolicy          string            `json:"memoryManagerPolicy"`
}

// pageSize returns the bytes of a page of the resource hugepages-<size>.
func pageSize(name string) (int64, error) {
	size, found := strings.CutPrefix(name, v1.ResourceHugePagesPrefix)
	if !found {
		return 0, fmt.Errorf("%q is no hugepages resource", name)
	}
	q, err := resource.ParseQuantity(size)
	return q.Value(), err
}

// hugePages returns a zone's pages as cAdvisor reports them, smallest page first.
func (z Zone) hugePages() ([]cadvisorapi.HugePagesInfo, error) {
	var pages []cadvisorapi.HugePagesInfo
	for name, amount := range z.HugePages {
		bytes, err := pageSize(name)
		if err != nil {
			return nil, err
		}
		pages = append(pages, cadvisorapi.HugePagesInfo{
			PageSize: uint64(bytes) / 1024,
			NumPages: amount.Total / uint64(bytes),
		})
	}
	sort.Slice(pages, func(i, k int) bool { return pages[i].PageSize < pages[k].PageSize })
	return pages, nil
}

// machineInfo describes the machine as cAdvisor would.
func (n Node) machineInfo() (*cadvisorapi.MachineInfo, error) {
	info := &cadvisorapi.MachineInfo{}
	sockets := map[int]bool{}
	for _, zone := range n.Zones {
		node := cadvisorapi.Node{Id: zone.ID, Memory: zone.Memory.Total, Distances: zone.Distances}
		var err error
		if node.HugePages, err = zone.hugePages(); err != nil {
			return nil, err
		}
		for i, core := range zone.Cores {
			sockets[core.Socket] = true
			info.NumCores += len(core.CPUs)
			node.Cores = append(node.Cores, cadvisorapi.Core{
				Id:           i,
				Threads:      core.CPUs,
				SocketID:     core.Socket,
				UncoreCaches: []cadvisorapi.Cache{{Id: core.Uncore, Level: 3, Type: "Unified"}},
			})
		}
		info.NumPhysicalCores += len(zone.Cores)
		info.MemoryCapacity += zone.Memory.Total
		info.Topology = append(info.Topology, node)
	}
	info.NumSockets = len(sockets)
	return info, nil
}

// reservation returns what system-reserved and kube-reserved add up to, and its memory by zone.
func (n Node) reservation() (v1.ResourceList, []kubeletconfig.MemoryReservation) {
	cpus := int64(n.Kubelet.ReservedCPUCount)
	if set, err := cpuset.Parse(n.Kubelet.ReservedCPUs); err == nil && set.Size() > 0 {
		cpus = int64(set.Size())
	}
	all := v1.ResourceList{v1.ResourceCPU: *resource.NewQuantity(cpus, resource.DecimalSI)}
	var zones []kubeletconfig.MemoryReservation
	for _, zone := range n.Zones {
		limits := v1.ResourceList{}
		add := func(name v1.ResourceName, amount Amount) {
			if amount.Reserved == 0 {
				return
			}
			q := *resource.NewQuantity(int64(amount.Reserved), resource.BinarySI)
			limits[name] = q
			q.Add(all[name])
			all[name] = q
		}
		add(v1.ResourceMemory, zone.Memory)
		for name, amount := range zone.HugePages {
			add(v1.ResourceName(name), amount)
		}
		if len(limits) > 0 {
			zones = append(zones, kubeletconfig.MemoryReservation{NumaNode: int32(zone.ID), Limits: limits})
		}
	}
	return all, zones
}

// plugins returns the devices as their plugins send them, by resource.
func (n Node) plugins() map[string][]*pluginapi.Device {
	all := map[string][]*pluginapi.Device{}
	for _, d := range n.Devices {
		device := &pluginapi.Device{ID: d.ID, Health: pluginapi.Unhealthy}
		if d.Healthy {
			device.Health = pluginapi.Healthy
		}
		if len(d.Zones) > 0 {
			device.Topology = &pluginapi.TopologyInfo{}
		}
		for _, id := range d.Zones {
			device.Topology.Nodes = append(device.Topology.Nodes, &pluginapi.NUMANode{ID: int64(id)})
		}
		all[d.Resource] = append(all[d.Resource], device)
	}
	return all
}

// zonesOf returns the zone of each CPU.
func (n Node) zonesOf() map[int]int {
	zones := map[int]int{}
	for _, zone := range n.Zones {
		for _, core := range zone.Cores {
			for _, cpu := range core.CPUs {
				zones[cpu] = zone.ID
			}
		}
	}
	return zones
}

// byZone splits a CPU set; every zone is there, by its id as text.
func (n Node) byZone(set cpuset.CPUSet) map[string]string {
	in := map[int][]int{}
	of := n.zonesOf()
	for _, cpu := range set.UnsortedList() {
		in[of[cpu]] = append(in[of[cpu]], cpu)
	}
	text := map[string]string{}
	for _, zone := range n.Zones {
		text[strconv.Itoa(zone.ID)] = cpuset.New(in[zone.ID]...).String()
	}
	return text
}
