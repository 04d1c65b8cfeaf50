// SPDX-License-Identifier: Apache-2.0

// Package podresources has the kubelet's own podresources server (k8s.io/kubernetes over grpc-go) answer `numawise agent`:
// what the agent publishes is compared with what that server says of the same facts in Go.
//
// NUMAWISE names the program; tests/oracle/run sets it.
package podresources

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/go-logr/logr"
	"google.golang.org/grpc"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	api "k8s.io/kubelet/pkg/apis/podresources/v1"
	apisgrpc "k8s.io/kubernetes/pkg/kubelet/apis/grpc"
	"k8s.io/kubernetes/pkg/kubelet/apis/podresources"
)

func TestMain(m *testing.M) {
	klog.SetLogger(logr.Discard())
	os.Exit(m.Run())
}

const gpu, nic = "example.com/gpu", "example.com/nic"

// What one container has for itself.
type held struct {
	cpus    []int64
	memory  []*api.ContainerMemory
	devices []*api.ContainerDevices
	claims  []*api.DynamicResource
}

// A kubelet's managers. Nothing changes while they are served.
type managers struct {
	pods    []*v1.Pod
	held    map[string]held         // by uid/container
	devices []*api.ContainerDevices // allocatable
	cpus    []int64                 // likewise
}

func (m *managers) UpdateAllocatedDevices() {}
func (m *managers) GetDevices(uid, c string) []*api.ContainerDevices {
	return m.held[uid+"/"+c].devices
}
func (m *managers) GetAllocatableDevices() []*api.ContainerDevices { return m.devices }
func (m *managers) GetCPUs(uid, c string) []int64                  { return m.held[uid+"/"+c].cpus }
func (m *managers) GetAllocatableCPUs() []int64                    { return m.cpus }
func (m *managers) GetMemory(uid, c string) []*api.ContainerMemory { return m.held[uid+"/"+c].memory }
func (m *managers) GetAllocatableMemory() []*api.ContainerMemory   { return block("memory", 1<<34, 0) }
func (m *managers) GetActivePods() []*v1.Pod                       { return m.pods }
func (m *managers) GetPods() []*v1.Pod                             { return m.pods }
func (m *managers) GetPodByName(_, _ string) (*v1.Pod, bool)       { return nil, false }
func (m *managers) GetDynamicResources(p *v1.Pod, c *v1.Container) []*api.DynamicResource {
	return m.held[string(p.UID)+"/"+c.Name].claims
}

// add a pod of the containers c0, c1, ...
func (m *managers) add(namespace, name string, containers ...held) {
	pod := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(namespace + "." + name)}}
	if m.held == nil {
		m.held = map[string]held{}
	}
	for i, h := range containers {
		c := fmt.Sprintf("c%d", i)
		pod.Spec.Containers = append(pod.Spec.Containers, v1.Container{Name: c})
		m.held[string(pod.UID)+"/"+c] = h
	}
	m.pods = append(m.pods, pod)
}

func (m *managers) service() api.PodResourcesListerServer {
	return podresources.NewV1PodResourcesServer(context.Background(),
		podresources.PodResourcesProviders{Pods: m, Devices: m, Cpus: m, Memory: m, DynamicResources: m})
}

// said is what the service answers.
func said(t *testing.T, s api.PodResourcesListerServer) (*api.AllocatableResourcesResponse, *api.ListPodResourcesResponse) {
	t.Helper()
	a, err1 := s.GetAllocatableResources(t.Context(), &api.AllocatableResourcesRequest{})
	l, err2 := s.List(t.Context(), &api.ListPodResourcesRequest{})
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return a, l
}

func topology(zones ...int64) *api.TopologyInfo {
	t := &api.TopologyInfo{}
	for _, z := range zones {
		t.Nodes = append(t.Nodes, &api.NUMANode{ID: z})
	}
	return t
}

func block(kind string, bytes uint64, zones ...int64) []*api.ContainerMemory {
	return []*api.ContainerMemory{{MemoryType: kind, Size: bytes, Topology: topology(zones...)}}
}

// devices of one plugin and the same zones; none: the plugin does not say.
func devices(resource string, zones []int64, ids ...string) []*api.ContainerDevices {
	d := &api.ContainerDevices{ResourceName: resource, DeviceIds: ids}
	if zones != nil {
		d.Topology = topology(zones...)
	}
	return []*api.ContainerDevices{d}
}

func span(first, last int64) (ids []int64) {
	for i := first; i <= last; i++ {
		ids = append(ids, i)
	}
	return ids
}

// A server of the kubelet on a socket, with its rate limit.
func serve(t *testing.T, socket string, s api.PodResourcesListerServer, more ...grpc.ServerOption) *grpc.Server {
	t.Helper()
	if more == nil {
		more = append(more, apisgrpc.WithRateLimiter(t.Context(), "podresources", podresources.DefaultQPS, podresources.DefaultBurstTokens))
	}
	g := grpc.NewServer(more...)
	if s != nil {
		api.RegisterPodResourcesListerServer(g, s)
	}
	l := listen(t, socket)
	go func() { _ = g.Serve(l) }()
	t.Cleanup(g.Stop)
	return g
}

func listen(t *testing.T, socket string) net.Listener {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(socket), 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// Four zones of 24 CPUs, of which 0, 24, 48 and 72 are reserved; two GPUs in each zone, and a port that is next to two.
func fourZones() *managers {
	m := &managers{}
	for z := range int64(4) {
		m.cpus = append(m.cpus, span(24*z+1, 24*z+23)...)
		m.devices = append(m.devices, devices(gpu, []int64{z}, fmt.Sprintf("GPU-%d-a", z), fmt.Sprintf("GPU-%d-b", z))...)
	}
	m.devices = append(m.devices, devices(nic, []int64{0, 1}, "port-0")...)
	m.devices = append(m.devices, devices(nic, nil, "port-1")...)
	m.devices = append(m.devices, devices(nic, []int64{3}, "port-2")...)
	return m
}
