// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"k8s.io/utils/cpuset"
	"numawise.dev/tests/kubelet"
)

// distance is the mean SLIT distance from the CPUs that a pod has for itself to its memory, which
// lies in its blocks in equal parts, or where its CPUs are; false for a pod of the shared pool.
func distance(node kubelet.Node, containers []kubelet.Container) (float64, bool) {
	zones := map[int]int{} // index by CPU
	index := map[int]int{} // by zone id
	for i, zone := range node.Zones {
		index[zone.ID] = i
		for _, core := range zone.Cores {
			for _, cpu := range core.CPUs {
				zones[cpu] = i
			}
		}
	}
	cpus := make([]float64, len(node.Zones))
	memory := make([]float64, len(node.Zones))
	var allCPUs, allMemory float64
	for _, c := range containers {
		if c.CPUs == nil {
			continue
		}
		set, err := cpuset.Parse(*c.CPUs)
		if err != nil {
			continue
		}
		for _, cpu := range set.List() {
			cpus[zones[cpu]]++
			allCPUs++
		}
		for _, block := range c.Memory {
			for _, id := range block.Zones {
				part := float64(block.Bytes) / float64(len(block.Zones))
				memory[index[id]] += part
				allMemory += part
			}
		}
	}
	if allCPUs == 0 {
		return 0, false
	}
	if allMemory == 0 {
		memory, allMemory = cpus, allCPUs
	}
	var sum float64
	for i := range cpus {
		for k := range memory {
			sum += cpus[i] / allCPUs * memory[k] / allMemory * float64(node.Zones[i].Distances[k])
		}
	}
	return sum, true
}
