// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"fmt"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/cpuset"
	"numawise.dev/tests/kubelet"
)

// Machine is a node of the cluster.
type Machine struct {
	Name    string
	Kind    string // the label e2e.numawise/kind
	Kubelet kubelet.Node
}

// Regular describes a machine of equal zones: cores are numbered zone by zone, their second
// threads after all first ones, and one core of zone 0 is reserved. Memory is in GiB a zone, of
// which one is reserved in zone 0.
type Regular struct {
	Zones, ZonesPerSocket, Cores, Threads int
	MemoryGiB                             uint64
	GPUs                                  int // of example.com/gpu, dealt to the zones in turn
}

// Describe returns the machine with the configuration of its kubelet.
func (r Regular) Describe(config kubelet.Config) kubelet.Node {
	n := kubelet.Node{Kubelet: config}
	all := r.Zones * r.Cores
	for z := range r.Zones {
		zone := kubelet.Zone{ID: z, Memory: kubelet.Amount{Total: r.MemoryGiB << 30}}
		for k := range r.Zones {
			d := uint64(32)
			switch {
			case z == k:
				d = 10
			case z/r.ZonesPerSocket == k/r.ZonesPerSocket:
				d = 12
			}
			zone.Distances = append(zone.Distances, d)
		}
		if z == 0 {
			zone.Memory.Reserved = 1 << 30
		}
		for c := range r.Cores {
			core := kubelet.Core{Socket: z / r.ZonesPerSocket, Uncore: z}
			for t := range r.Threads {
				core.CPUs = append(core.CPUs, t*all+z*r.Cores+c)
			}
			zone.Cores = append(zone.Cores, core)
		}
		n.Zones = append(n.Zones, zone)
	}
	for i := range r.GPUs {
		n.Devices = append(n.Devices, kubelet.Device{
			Resource: "example.com/gpu", ID: fmt.Sprintf("gpu-%02d", i), Zones: []int{i % r.Zones}, Healthy: true})
	}
	if config.CPUManagerPolicy == "static" {
		n.Kubelet.ReservedCPUs = cpuset.New(n.Zones[0].Cores[0].CPUs...).String()
	}
	return n
}

// object is the Node as its kubelet registers it.
func (m Machine) object() *v1.Node {
	capacity, allocatable := v1.ResourceList{}, v1.ResourceList{}
	set := func(name v1.ResourceName, total, usable int64, format resource.Format) {
		capacity[name] = *resource.NewQuantity(total, format)
		allocatable[name] = *resource.NewQuantity(usable, format)
	}
	var cpus, memory, reserved, pages int64
	huge := map[string][2]int64{}
	for _, zone := range m.Kubelet.Zones {
		for _, core := range zone.Cores {
			cpus += int64(len(core.CPUs))
		}
		memory += int64(zone.Memory.Total)
		reserved += int64(zone.Memory.Reserved)
		for name, amount := range zone.HugePages {
			sum := huge[name]
			huge[name] = [2]int64{sum[0] + int64(amount.Total), sum[1] + int64(amount.Total-amount.Reserved)}
			pages += int64(amount.Total)
		}
	}
	reservedCPUs, err := cpuset.Parse(m.Kubelet.Kubelet.ReservedCPUs)
	if err != nil {
		panic(fmt.Sprintf("%s: %v", m.Name, err))
	}
	set(v1.ResourceCPU, cpus, cpus-int64(reservedCPUs.Size()), resource.DecimalSI)
	set(v1.ResourceMemory, memory, memory-reserved-pages, resource.BinarySI)
	set(v1.ResourcePods, 250, 250, resource.DecimalSI)
	for name, sum := range huge {
		set(v1.ResourceName(name), sum[0], sum[1], resource.BinarySI)
	}
	for _, d := range m.Kubelet.Devices {
		name := v1.ResourceName(d.Resource)
		total, usable := capacity[name], allocatable[name]
		healthy := int64(0)
		if d.Healthy {
			healthy = 1
		}
		set(name, total.Value()+1, usable.Value()+healthy, resource.DecimalSI)
	}
	return &v1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: m.Name, Labels: map[string]string{
			"e2e.numawise/kind": m.Kind, v1.LabelHostname: m.Name, v1.LabelOSStable: "linux", v1.LabelArchStable: "amd64"}},
		Status: v1.NodeStatus{
			Capacity:    capacity,
			Allocatable: allocatable,
			Conditions: []v1.NodeCondition{{Type: v1.NodeReady, Status: v1.ConditionTrue, Reason: "KubeletReady",
				LastTransitionTime: metav1.Now(), LastHeartbeatTime: metav1.Now()}},
			NodeInfo: v1.NodeSystemInfo{KubeletVersion: "v1.36.3", OperatingSystem: "linux", Architecture: "amd64"},
		},
	}
}
