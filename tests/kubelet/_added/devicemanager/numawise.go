// SPDX-License-Identifier: Apache-2.0

package devicemanager

import (
	"context"
	"os"
	"path/filepath"
	"sort"
	"time"

	cadvisorapi "github.com/google/cadvisor/info/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/klog/v2"
	pluginapi "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
	"k8s.io/kubernetes/pkg/kubelet/checkpointmanager"
	"k8s.io/kubernetes/pkg/kubelet/checkpointmanager/errors"
	"k8s.io/kubernetes/pkg/kubelet/cm/topologymanager"
)

// noCheckpoints keeps nothing.
type noCheckpoints struct{}

func (noCheckpoints) CreateCheckpoint(string, checkpointmanager.Checkpoint) error { return nil }
func (noCheckpoints) GetCheckpoint(string, checkpointmanager.Checkpoint) error {
	return errors.ErrCheckpointNotFound
}
func (noCheckpoints) RemoveCheckpoint(string) error      { return nil }
func (noCheckpoints) ListCheckpoints() ([]string, error) { return nil, nil }

// lowestIDs is a device plugin that prefers the devices with the lowest ids.
type lowestIDs struct{}

func (lowestIDs) getPreferredAllocation(_ context.Context, available, mustInclude []string, size int) (*pluginapi.PreferredAllocationResponse, error) {
	chosen := sets.New(mustInclude...)
	for _, id := range sets.List(sets.New(available...)) {
		if chosen.Len() < size {
			chosen.Insert(id)
		}
	}
	return &pluginapi.PreferredAllocationResponse{
		ContainerResponses: []*pluginapi.ContainerPreferredAllocationResponse{{DeviceIDs: sets.List(chosen)}},
	}, nil
}

func (lowestIDs) allocate(context.Context, []string) (*pluginapi.AllocateResponse, error) {
	return &pluginapi.AllocateResponse{
		ContainerResponses: []*pluginapi.ContainerAllocateResponse{{}},
	}, nil
}

func (lowestIDs) preStartContainer(context.Context, []string) (*pluginapi.PreStartContainerResponse, error) {
	return &pluginapi.PreStartContainerResponse{}, nil
}
func (lowestIDs) setStopTime(time.Time)        {}
func (lowestIDs) isStopped() bool              { return false }
func (lowestIDs) stopGracePeriodExpired() bool { return false }

// NewInMemory is NewManagerImpl and Start without a socket and without a checkpoint file.
func NewInMemory(topology []cadvisorapi.Node, store topologymanager.Store, activePods ActivePodsFunc) (*ManagerImpl, error) {
	// The socket is never opened, and its folder exists, so nothing is written.
	m, err := newManagerImpl(klog.TODO(), filepath.Join(os.TempDir(), "never-opened"), topology, store)
	if err != nil {
		return nil, err
	}
	m.checkpointManager = noCheckpoints{}
	m.activePods = activePods
	return m, nil
}

// Register is what the kubelet does with a plugin and the list of devices it sends.
func (m *ManagerImpl) Register(resource string, devices []*pluginapi.Device) {
	m.mutex.Lock()
	m.endpoints[resource] = endpointInfo{
		e:    lowestIDs{},
		opts: &pluginapi.DevicePluginOptions{GetPreferredAllocationAvailable: true},
	}
	m.mutex.Unlock()
	m.genericDeviceUpdateCallback(klog.TODO(), resource, devices)
}

// Free returns the healthy devices that nobody holds, sorted, by resource.
func (m *ManagerImpl) Free() map[string][]string {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	free := map[string][]string{}
	for resource, healthy := range m.healthyDevices {
		free[resource] = sets.List(healthy.Difference(m.allocatedDevices[resource]))
		sort.Strings(free[resource])
	}
	return free
}

// Held returns the devices of one container, sorted, by resource.
func (m *ManagerImpl) Held(podUID, containerName string) map[string][]string {
	held := map[string][]string{}
	m.podDevices.RLock()
	defer m.podDevices.RUnlock()
	for resource, devices := range m.podDevices.devs[podUID][containerName] {
		held[resource] = sets.List(devices.deviceIds.Devices())
	}
	return held
}
