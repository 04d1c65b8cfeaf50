// SPDX-License-Identifier: Apache-2.0

package cpumanager

import (
	"github.com/go-logr/logr"
	"k8s.io/kubernetes/pkg/kubelet/cm/containermap"
	"k8s.io/kubernetes/pkg/kubelet/cm/cpumanager/state"
	"k8s.io/utils/cpuset"
)

// StartInMemory is Start without a checkpoint file and without the reconcile loop.
func StartInMemory(m Manager, activePods ActivePodsFunc) error {
	mgr := m.(*manager)
	mgr.activePods = activePods
	mgr.containerMap = containermap.NewContainerMap()
	mgr.state = state.NewMemoryState(logr.Discard())
	if err := mgr.policy.Start(logr.Discard(), mgr.state); err != nil {
		return err
	}
	mgr.allocatableCPUs = mgr.policy.GetAllocatableCPUs(mgr.state)
	return nil
}

// RemoveStaleState is what every call of the manager begins with.
func RemoveStaleState(m Manager) {
	m.(*manager).removeStaleState(logr.Discard())
}

// Reserved returns the CPUs that are given to no container; empty with policy none.
func Reserved(m Manager) cpuset.CPUSet {
	if p, ok := m.(*manager).policy.(*staticPolicy); ok {
		return p.reservedCPUs
	}
	return cpuset.New()
}

// Free returns the CPUs that can still be given to a container exclusively.
func Free(m Manager) cpuset.CPUSet {
	mgr := m.(*manager)
	return mgr.state.GetDefaultCPUSet().Difference(Reserved(m))
}
