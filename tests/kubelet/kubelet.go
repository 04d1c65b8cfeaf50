// SPDX-License-Identifier: Apache-2.0

package kubelet

import (
	"fmt"
	"time"

	v1 "k8s.io/api/core/v1"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/klog/v2"
	v1qos "k8s.io/kubernetes/pkg/apis/core/v1/helper/qos"
	"k8s.io/kubernetes/pkg/kubelet/cm/cpumanager"
	"k8s.io/kubernetes/pkg/kubelet/cm/devicemanager"
	"k8s.io/kubernetes/pkg/kubelet/cm/memorymanager"
	"k8s.io/kubernetes/pkg/kubelet/cm/topologymanager"
	"k8s.io/kubernetes/pkg/kubelet/lifecycle"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/utils/cpuset"
)

// EnableAlphaOptions lets kubelets of this process start with options that are not stable yet.
func EnableAlphaOptions() error {
	return utilfeature.DefaultMutableFeatureGate.Set("CPUManagerPolicyAlphaOptions=true," +
		"CPUManagerPolicyBetaOptions=true,TopologyManagerPolicyAlphaOptions=true,TopologyManagerPolicyBetaOptions=true")
}

// Kubelet decides for one node. It is not safe for concurrent use.
type Kubelet struct {
	node     Node
	topology topologymanager.Manager
	devices  *devicemanager.ManagerImpl
	cpus     cpumanager.Manager
	memory   memorymanager.Manager
	// active are the pods that hold their resources: admitted and not removed, and the one that
	// is being admitted.
	active []*v1.Pod
	// stale are pods that are rejected or over, whose resources are not released yet.
	stale []*v1.Pod
}

// New starts a kubelet. The error is the one with which a kubelet would end.
func New(node Node) (*Kubelet, error) {
	info, err := node.machineInfo()
	if err != nil {
		return nil, err
	}
	k := &Kubelet{node: node}
	c := node.Kubelet
	active := func() []*v1.Pod { return k.active }
	if k.topology, err = topologymanager.NewManager(info.Topology, c.TopologyManagerPolicy,
		c.TopologyManagerScope, c.TopologyManagerPolicyOptions); err != nil {
		return nil, err
	}
	if k.devices, err = devicemanager.NewInMemory(info.Topology, k.topology, active); err != nil {
		return nil, err
	}
	reserved, err := cpuset.Parse(c.ReservedCPUs)
	if err != nil {
		return nil, fmt.Errorf("reservedCPUs: %w", err)
	}
	allocatable, reservedMemory := node.reservation()
	if k.cpus, err = cpumanager.NewManager(klog.TODO(), c.CPUManagerPolicy, c.CPUManagerPolicyOptions,
		time.Hour, info, reserved, allocatable, "", k.topology); err != nil {
		return nil, err
	}
	if k.memory, err = memorymanager.NewManager(klog.TODO(), c.MemoryManagerPolicy, info, allocatable,
		reservedMemory, "", k.topology); err != nil {
		return nil, err
	}
	k.topology.AddHintProvider(klog.TODO(), k.devices)
	k.topology.AddHintProvider(klog.TODO(), k.cpus)
	k.topology.AddHintProvider(klog.TODO(), k.memory)
	if err := cpumanager.StartInMemory(k.cpus, active); err != nil {
		return nil, err
	}
	if err := memorymanager.StartInMemory(k.memory, active); err != nil {
		return nil, err
	}
	for name, devices := range node.plugins() {
		k.devices.Register(name, devices)
	}
	return k, nil
}

// QOS returns the class of a pod as the kubelet sees it.
func QOS(pod *v1.Pod) string {
	return string(v1qos.GetPodQOS(pod))
}

// ReservedCPUs returns the CPUs that no container gets; empty with CPU manager none.
func (k *Kubelet) ReservedCPUs() string {
	return cpumanager.Reserved(k.cpus).String()
}

// Admit decides about a pod. A rejected pod keeps what it was given before the refusal until
// Settle, or the next admission. Panics where the kubelet does; the Kubelet is then of no use.
func (k *Kubelet) Admit(pod *v1.Pod) lifecycle.PodAdmitResult {
	k.Settle()
	k.active = append(k.active, pod)
	result := k.topology.Admit(&lifecycle.PodAdmitAttributes{Pod: pod, OtherPods: k.active[:len(k.active)-1]})
	if !result.Admit {
		k.active = k.active[:len(k.active)-1]
		k.stale = append(k.stale, pod)
	}
	return result
}

// Settle releases what pods hold that are rejected or over: what an admission begins with.
func (k *Kubelet) Settle() {
	for _, pod := range k.stale {
		k.release(pod)
	}
	k.stale = nil
	k.devices.UpdateAllocatedDevices()
	cpumanager.RemoveStaleState(k.cpus)
	memorymanager.RemoveStaleState(k.memory)
}

// release gives back the memory of a pod that is no longer active in the order of its containers.
// A kubelet takes them in the random order of a Go map.
func (k *Kubelet) release(pod *v1.Pod) {
	for _, name := range containerNames(pod) {
		memorymanager.RemoveContainer(k.memory, string(pod.UID), name)
	}
	topologymanager.Forget(k.topology, string(pod.UID))
}

func (k *Kubelet) find(uid string) int {
	for i, pod := range k.active {
		if string(pod.UID) == uid {
			return i
		}
	}
	return -1
}

// Start starts the containers of an admitted pod one after the other, each init container having
// ended before the next one starts. It does nothing for other pods.
func (k *Kubelet) Start(uid string) {
	i := k.find(uid)
	if i < 0 {
		return
	}
	pod := k.active[i]
	for _, c := range allContainers(pod) {
		id := uid + "/" + c.Name
		k.cpus.AddContainer(klog.TODO(), pod, &c, id)
		k.memory.AddContainer(klog.TODO(), pod, &c, id)
		k.topology.AddContainer(pod, &c, id)
	}
}

// End makes an admitted pod inactive: its containers have exited, or it is deleted and they are
// gone. A pod that is being stopped is still active. It does nothing for other pods.
func (k *Kubelet) End(uid string) {
	i := k.find(uid)
	if i < 0 {
		return
	}
	k.stale = append(k.stale, k.active[i])
	k.active = append(k.active[:i:i], k.active[i+1:]...)
}

// Remove ends a pod and settles.
func (k *Kubelet) Remove(uid string) {
	k.End(uid)
	k.Settle()
}

func allContainers(pod *v1.Pod) []v1.Container {
	return append(append([]v1.Container{}, pod.Spec.InitContainers...), pod.Spec.Containers...)
}

func containerNames(pod *v1.Pod) []string {
	var names []string
	for _, c := range allContainers(pod) {
		names = append(names, c.Name)
	}
	return names
}

// HasPlugin says whether a plugin has registered the resource.
func (k *Kubelet) HasPlugin(resource string) bool {
	for _, d := range k.node.Devices {
		if d.Resource == resource {
			return true
		}
	}
	return false
}

// Node returns the description that the kubelet was started with.
func (k *Kubelet) Node() Node {
	return k.node
}

// Active returns the pods that hold resources, in the order of their admission.
func (k *Kubelet) Active() []*v1.Pod {
	return append([]*v1.Pod{}, k.active...)
}

// UpdatePluginResources is what the kubelet's predicates ask of the device manager.
func (k *Kubelet) UpdatePluginResources(node *framework.NodeInfo, attrs *lifecycle.PodAdmitAttributes) error {
	return k.devices.UpdatePluginResources(node, attrs)
}
