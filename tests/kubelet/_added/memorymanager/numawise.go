// SPDX-License-Identifier: Apache-2.0

package memorymanager

import (
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/kubelet/cm/containermap"
	"k8s.io/kubernetes/pkg/kubelet/cm/memorymanager/state"
)

// StartInMemory is Start without a checkpoint file.
func StartInMemory(m Manager, activePods ActivePodsFunc) error {
	mgr := m.(*manager)
	mgr.activePods = activePods
	mgr.containerMap = containermap.NewContainerMap()
	mgr.state = state.NewMemoryState(klog.TODO())
	if err := mgr.policy.Start(klog.TODO(), mgr.state); err != nil {
		return err
	}
	mgr.allocatableMemory = mgr.policy.GetAllocatableMemory(mgr.state)
	return nil
}

// RemoveStaleState is what every call of the manager begins with.
func RemoveStaleState(m Manager) {
	m.(*manager).removeStaleState(klog.TODO())
}

// RemoveContainer is what removeStaleState does with one container.
func RemoveContainer(m Manager, podUID, containerName string) {
	mgr := m.(*manager)
	mgr.Lock()
	defer mgr.Unlock()
	mgr.policyRemoveContainerByRef(klog.TODO(), podUID, containerName)
}

// AfterRelease returns the machine as it would be if the containers of a pod were released in
// this order; nothing changes.
func AfterRelease(m Manager, podUID string, containers []string) state.NUMANodeMap {
	mgr := m.(*manager)
	copied := state.NewMemoryState(klog.TODO())
	copied.SetMachineState(mgr.state.GetMachineState().Clone())
	for name, blocks := range mgr.state.GetMemoryAssignments()[podUID] {
		copied.SetMemoryBlocks(podUID, name, append([]state.Block{}, blocks...))
	}
	for _, name := range containers {
		mgr.policy.RemoveContainer(klog.TODO(), copied, podUID, name)
	}
	return copied.GetMachineState()
}
